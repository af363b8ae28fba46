"""Merchants: they create payments, cancel them, ask for refunds, and repeat until answered.

A merchant repeats a request with the same key until there is an answer, and then perhaps once more:
all answers to one key must be equal, byte for byte.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any

import msgspec

from payment_service.domain.audit import Actor, ActorKind
from payment_service.domain.errors import (
    ConcurrentUpdate,
    IdempotencyInProgress,
    StorageUnavailable,
)
from payment_service.domain.idempotency import Answer, IdempotentRequest, StoredResponse
from payment_service.domain.money import Currency, Money
from payment_service.domain.refund import RefundReason
from payment_service.providers.provider import ProviderError
from payment_service.use_cases.cancel_payment import CancelPayment, cancel_payment
from payment_service.use_cases.create_payment import CreatePayment, create_payment
from payment_service.use_cases.create_refund import CreateRefund, create_refund
from tests.simulation.answers import payment_answer, refund_answer, refusal
from tests.simulation.process import Process
from tests.simulation.provider import SimulatedProvider
from tests.simulation.world import Unanswered, World, serve

TENANT = "shop"
TRIES_MAX = 12
ACTOR = Actor(ActorKind.CLIENT, "merchant")
LIVES_SECONDS = (8, 25)

Ask = Callable[[Process], Awaitable[Answer]]


class Merchants:
    """All merchants of a world, and every answer that they got."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.answers: dict[str, list[StoredResponse]] = {}
        self._refunded: set[str] = set()  # payments of which a refund was accepted

    async def shop(self, number: int) -> None:
        """Have one order: a payment, and what a merchant does with it."""
        chance, swarm = self.world.chance, self.world.swarm
        await asyncio.sleep(chance.random())
        key = f"create-{number}"
        ask = self._creation(number, key)
        if chance.random() < swarm.twins:
            first, second = await asyncio.gather(self.insist(key, ask), self.insist(key, ask))
            answer = first or second
        else:
            answer = await self.insist(key, ask)
        if answer is None or answer.status != 201:
            return
        payment_id = msgspec.json.decode(answer.body)["payment_id"]
        errands = []
        if chance.random() < swarm.cancels:
            errands.append(self._cancel(number, payment_id))
        if chance.random() < swarm.refunds:
            wanted = chance.choice(((60, 60), (100,), (30, 30, 60), (40, 100)))
            errands += [
                self._refund(number, part, payment_id, percent)
                for part, percent in enumerate(wanted)
            ]
        await asyncio.gather(*errands)
        if chance.random() < 0.2:
            await asyncio.sleep(chance.choice((5.0, 60.0)))
            await self.insist(key, ask)

    async def insist(self, key: str, ask: Ask) -> StoredResponse | None:
        """Repeat a request until it is answered; None when the merchant gives up."""
        world, chance = self.world, self.world.chance
        for _ in range(TRIES_MAX):
            process = world.any_api()
            if process is not None:
                hangs_up = chance.random() < world.swarm.disconnects
                patience = chance.choice((0.05, 0.5, 2.0) if hangs_up else (20.0, 60.0))
                try:
                    answer = await serve(process, partial(ask, process), patience=patience)
                except IdempotencyInProgress:
                    world.note("a twin was told that the first still runs")
                except (Unanswered, StorageUnavailable, ConcurrentUpdate):
                    world.note("a merchant got no answer")
                except ProviderError:
                    world.note("a merchant was told to try again")
                else:
                    return self._keep(key, answer)
            await asyncio.sleep(chance.choice((0.1, 1.0, 4.0)) * chance.random())
        world.note("a merchant gave up")
        return None

    def _keep(self, key: str, answer: Any) -> StoredResponse:
        assert isinstance(answer, Answer)
        if answer.replayed:
            self.world.note("an answer was repeated from the key")
        known = self.answers.setdefault(key, [])
        known.append(answer.response)
        if answer.response != known[0]:
            self.world.fault(f"two answers to the key {key}")
        self.world.trace("merchant", f"{key}: {answer.response.status} {answer.response.body!r}")
        return answer.response

    def _creation(self, number: int, key: str) -> Ask:
        chance = self.world.chance
        is_short = chance.random() < self.world.swarm.short_lives
        lives = chance.choice(LIVES_SECONDS) if is_short else 900
        amount = chance.choice((5, 100, 45_000))

        async def ask(process: Process) -> Answer:
            return await create_payment(
                process.database,
                SimulatedProvider(self.world.bank, process),
                process.clock,
                CreatePayment(
                    request=_request(key, "createPayment"),
                    actor=ACTOR,
                    money=Money(amount, Currency.VND),
                    order_reference=f"order-{number}",
                    description=None,
                    return_url=f"https://shop.example/{number}",
                    cancel_url="https://shop.example/cart",
                    expires_in=timedelta(seconds=lives),
                    metadata={},
                ),
                render=payment_answer,
                render_error=refusal,
            )

        return ask

    async def _cancel(self, number: int, payment_id: str) -> None:
        key = f"cancel-{number}"
        await asyncio.sleep(self.world.chance.choice((0.1, 2.0, 10.0)) * self.world.chance.random())

        async def ask(process: Process) -> Answer:
            command = CancelPayment(
                request=_request(key, "cancelPayment"),
                actor=ACTOR,
                payment_id=payment_id,
                reason=None,
            )
            return await cancel_payment(
                process.database,
                SimulatedProvider(self.world.bank, process),
                process.clock,
                command,
                render=payment_answer,
                render_error=refusal,
            )

        answer = await self.insist(key, ask)
        if answer is not None and answer.status == 409:
            self.world.note("a cancellation lost against money")

    async def _refund(self, number: int, part: int, payment_id: str, percent: int) -> None:
        key = f"refund-{number}-{part}"
        chance = self.world.chance
        await asyncio.sleep(chance.choice((2.0, 4.0, 10.0)) * (0.5 + chance.random() / 2))
        amount = await self._amount(payment_id)

        async def ask(process: Process) -> Answer:
            return await create_refund(
                process.database,
                SimulatedProvider(self.world.bank, process),
                process.clock,
                CreateRefund(
                    request=_request(key, "createRefund"),
                    actor=ACTOR,
                    payment_id=payment_id,
                    amount=max(1, amount * percent // 100),
                    reason=RefundReason.OVERPAID if percent == 40 else RefundReason.OTHER,
                    reference=f"ref-{number}-{part}",
                    destination=None,
                ),
                render=refund_answer,
                render_error=refusal,
            )

        answer = await self.insist(key, ask)
        if answer is None:
            return
        self.world.note(f"a refund was answered with {answer.status}")
        if answer.status == 201:
            self._refunded.add(payment_id)
            await asyncio.sleep(chance.choice((0.0, 40.0)))  # the payout may meet the trouble, too
        elif payment_id in self._refunded:
            self.world.note("a refund race was lost")

    async def _amount(self, payment_id: str) -> int:
        record = self.world.store.tables["payments"].records[(payment_id,)]
        assert record.committed is not None
        return int(record.committed["amount"])


def _request(key: str, operation: str) -> IdempotentRequest:
    return IdempotentRequest(tenant_id=TENANT, key=key, operation=operation, fingerprint=key)
