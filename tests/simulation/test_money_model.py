"""The service and a model of it live through the same facts, in any order, and must always agree.

The service is the real one: use cases, ledger, relay, consumer and scheduler, on the simulation's
store and bank. Nothing goes wrong here; what goes wrong is the simulation's.
"""

import asyncio
from contextlib import ExitStack
from dataclasses import fields, replace
from functools import partial
from random import Random
from typing import Any

import msgspec
from hypothesis import Phase, settings, strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from payment_service.domain.money import Currency, Money
from payment_service.domain.refund import RefundReason
from payment_service.providers.provider import (
    CheckoutState,
    PayoutState,
    ProviderRefund,
    RefundRequest,
)
from payment_service.use_cases.cancel_payment import CancelPayment, cancel_payment
from payment_service.use_cases.create_payment import CreatePayment, create_payment
from payment_service.use_cases.create_refund import CreateRefund, create_refund
from tests.simulation import oracle, schedule
from tests.simulation.answers import payment_answer, refund_answer, refusal
from tests.simulation.bank import Bank, Link
from tests.simulation.chance import Swarm, seeded
from tests.simulation.loop import VirtualLoop
from tests.simulation.merchants import ACTOR, _request
from tests.simulation.model import ModelPayment
from tests.simulation.process import EPOCH
from tests.simulation.provider import SimulatedProvider
from tests.simulation.world import World, serve

AMOUNTS = st.integers(1, 150)
ASKED = 100
EXAMPLES = 60
STEPS = 30


class QuietBank(Bank):
    """A bank in which nobody does anything by himself."""

    async def _payers(self, _link: Link) -> None:
        """Wait to be told."""

    async def _settle(self, _reference: str) -> None:
        """Wait to be told."""

    def pay_out(self, request: RefundRequest) -> ProviderRefund:
        """Take every payout, and leave it under way."""
        payout = super().pay_out(request)
        if payout.reference not in self.taken:
            self.taken.append(payout.reference)
            self.payouts[payout.reference] = replace(payout, state=PayoutState.PROCESSING)
        return self.payouts[payout.reference]

    @property
    def taken(self) -> list[str]:
        """Name the payouts that were asked for."""
        return self.__dict__.setdefault("_taken", [])


class MoneyMachine(RuleBasedStateMachine):
    """Facts about payments, each told to the service and to the model."""

    created = Bundle("created")
    promised = Bundle("promised")

    def __init__(self) -> None:
        super().__init__()
        chance = Random(1)
        calm = Swarm(**{each.name: 0 for each in fields(Swarm)})
        self.world = World(VirtualLoop(chance), chance, calm)
        self.world.bank = QuietBank(self.world, self.world.deliver)
        self.during = ExitStack()
        for context in (seeded(chance), schedule.fewer_shards(), schedule.listening(self.world)):
            self.during.enter_context(context)
        self.world.apis = [self.world.born("api", is_calm=True)]
        self.workers = [
            self.world.worker(role, is_calm=True) for role in ("relay", "consumer", "scheduler")
        ]
        self.models: dict[str, ModelPayment] = {}
        self.told: list[bytes] = []
        self.numbers = 0

    def teardown(self) -> None:
        """End the world, after the oracle has seen it."""
        self.settle(0.0)
        oracle.judge(self.world, {})
        faults = list(self.world.faults)
        schedule.bury(self.world)
        self.during.close()
        assert faults == []

    # --- what may happen -------------------------------------------------------------------------

    @rule(target=created)
    def create(self) -> str:
        """Ask for money."""
        answer = self.ask(
            create_payment,
            CreatePayment(
                request=_request(self.name("create"), "createPayment"), actor=ACTOR,
                money=Money(ASKED, Currency.VND), order_reference=self.name("order"),
                description=None, return_url=self.name("https://shop.example/"),
                cancel_url="https://shop.example/cart", expires_in=None, metadata={},
            ),
            render=payment_answer,
        )  # fmt: skip
        payment_id = str(msgspec.json.decode(answer.body)["payment_id"])
        self.models[payment_id] = ModelPayment(ASKED)
        return payment_id

    @rule(payment_id=created, amount=AMOUNTS | st.just(ASKED), is_told=st.booleans())
    def transfer(self, payment_id: str, amount: int, is_told: bool) -> None:  # noqa: FBT001
        """Let somebody pay, in time or late; without a webhook it is found by asking."""
        self.numbers += 1
        is_watched = self.row("payments", payment_id)["next_check_at"] is not None
        is_told = is_told or not is_watched
        link = self.link_of(payment_id)
        self.world.swarm = replace(self.world.swarm, webhook_lost=0.0 if is_told else 2.0)
        self.world.bank.receive(link, amount, self.numbers)
        self.models[payment_id].transfer(amount)
        self.settle(1.0 if is_told else self.seconds_until("payments", payment_id))

    @precondition(lambda self: self.told)
    @rule(data=st.data())
    def repeat_webhook(self, data: Any) -> None:
        """Deliver a webhook again."""
        body = data.draw(st.sampled_from(self.told))
        assert self.run(self.world.deliver(body))
        self.settle(0.0)

    @rule(payment_id=created)
    def cancel(self, payment_id: str) -> None:
        """Let the merchant cancel."""
        self.ask(
            cancel_payment,
            CancelPayment(request=_request(self.name("cancel"), "cancelPayment"), actor=ACTOR,
                          payment_id=payment_id, reason=None),
            render=payment_answer,
        )  # fmt: skip
        self.models[payment_id].close("failed")
        self.settle(0.0)

    @rule()
    def wait(self) -> None:
        """Let the time of every payment be up."""
        self.settle(1000.0)

    @rule(target=promised, payment_id=created, amount=AMOUNTS, is_excess=st.booleans())
    def refund(self, payment_id: str, amount: int, is_excess: bool) -> tuple[str, str]:  # noqa: FBT001
        """Ask for a refund, of as much as anybody likes."""
        reason = RefundReason.OVERPAID if is_excess else RefundReason.OTHER
        answer = self.ask(
            create_refund,
            CreateRefund(request=_request(self.name("refund"), "createRefund"), actor=ACTOR,
                         payment_id=payment_id, amount=amount, reason=reason, reference=None,
                         destination=None),
            render=refund_answer,
        )  # fmt: skip
        refund_id = str(msgspec.json.decode(answer.body).get("refund_id", ""))
        accepted = self.models[payment_id].refund(refund_id, amount, is_excess=is_excess)
        assert accepted is (answer.status == 201), answer
        self.settle(0.0)
        return payment_id, refund_id

    @rule(refund=promised, is_paid=st.booleans())
    def end_payout(self, refund: tuple[str, str], is_paid: bool) -> None:  # noqa: FBT001
        """Let the bank decide about a payout."""
        payment_id, refund_id = refund
        known = self.models[payment_id].refunds.get(refund_id)
        if known is None or known.status != "pending":
            return
        state = PayoutState.SUCCEEDED if is_paid else PayoutState.FAILED
        self.world.bank._move(f"{refund_id}-1", state)
        self.models[payment_id].payout(refund_id, "succeeded" if is_paid else "failed")
        self.settle(self.seconds_until("refunds", refund_id))

    @rule(refund=promised)
    def send_back(self, refund: tuple[str, str]) -> None:
        """Let a bank send back what had arrived."""
        payment_id, refund_id = refund
        known = self.models[payment_id].refunds.get(refund_id)
        if known is None or known.status != "succeeded":
            return
        due = self.seconds_until("refunds", refund_id)
        if due == 0:
            return  # it is watched no more
        self.world.bank._move(f"{refund_id}-1", PayoutState.RETURNED)
        self.models[payment_id].payout(refund_id, "failed")
        self.settle(due)

    # --- what must be true -----------------------------------------------------------------------

    @invariant()
    def service_and_model_agree(self) -> None:
        """Compare every payment."""
        for payment_id, model in self.models.items():
            row = self.row("payments", payment_id)
            seen = [row[name] for name in ("status", "version", "amount_received", "amount_applied",
                                           "amount_refunded", "amount_reserved")]  # fmt: skip
            assert seen == [model.status, model.version, model.received, model.applied,
                            model.refunded, model.reserved]  # fmt: skip

    # --- how -------------------------------------------------------------------------------------

    def run(self, work: Any) -> Any:
        return self.world.loop.run_until_complete(work)

    def ask(self, use_case: Any, command: Any, *, render: Any) -> Any:
        process = self.world.apis[0]
        answer = self.run(
            serve(
                process,
                partial(
                    use_case, process.database, SimulatedProvider(self.world.bank, process),
                    process.clock, command, render=render, render_error=refusal,
                ),
            )
        )  # fmt: skip
        return answer.response

    def settle(self, seconds: float) -> None:
        """Let time pass and the workers do what is due; then see whose time was up."""
        self.run(self._settle(seconds))
        for payment_id, model in self.models.items():
            if self.world.bank.now() >= self.row("payments", payment_id)["expires_at"]:
                model.close("expired")
        self.told += [
            row["payload"] for _, row in self.world.store.tables["webhook_events"].rows(None)
            if row["payload"] not in self.told
        ]  # fmt: skip

    async def _settle(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        while True:
            worked = 0
            for worker in self.workers:
                if worker.has_work():
                    worked += await worker.run_once()
            if not worked and not self.world.bank.busy:
                return
            await asyncio.sleep(0.1)

    def seconds_until(self, table: str, name: str) -> float:
        due = self.row(table, name)["next_check_at"]
        if due is None:
            return 0.0
        return max(0.0, (due - EPOCH).total_seconds() - self.world.loop.time()) + 0.001

    def row(self, table: str, name: str) -> dict[str, Any]:
        row = self.world.store.tables[table].records[(name,)].committed
        assert row is not None
        return row

    def link_of(self, payment_id: str) -> Link:
        order = self.row("payments", payment_id)["return_url"]
        return next(each for each in self.world.bank.links.values() if each.order == order)

    def name(self, word: str) -> str:
        self.numbers += 1
        return f"{word}{self.numbers}"


def test_service_and_model_agree_whatever_happens() -> None:
    run_state_machine_as_test(
        MoneyMachine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            phases=[Phase.generate, Phase.shrink],
        ),
    )


def test_bank_that_is_told_nothing_does_nothing() -> None:
    machine = MoneyMachine()
    try:
        payment_id = machine.create()
        assert machine.link_of(payment_id).state is CheckoutState.OPEN
        assert machine.link_of(payment_id).transfers == []
    finally:
        machine.teardown()
