"""What the conformance suite asks of every provider, and the payer and the bank behind each."""

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import msgspec

from payment_service.domain.ids import new_id, new_order_code, new_transfer_text
from payment_service.domain.money import Currency, Money
from payment_service.providers.circuit_breaker import CALLS_MIN
from payment_service.providers.fake.adapter import FakeProvider
from payment_service.providers.provider import (
    CheckoutRequest,
    Operation,
    Payer,
    PaymentProvider,
    ProviderError,
    RefundRequest,
)
from tests.support.simulator import Simulator
from tests.support.stripe_simulator import StripeSimulator

Delivery = tuple[Mapping[str, str], bytes]
# A bank account, in its own form and in one that a card checkout could have given.
SOMEBODY = Payer(bank_id="970422", bank_bin="970422", account_number="ch_0123456789/6789")


class World(Protocol):
    """The payer and the bank, as each provider simulates them."""

    takes_any_transfer: bool  # of any amount, any number, and late; a card pays what is asked, once

    def pay(self, order_code: int, amount: int | None = None) -> Delivery: ...
    def drain_wallet(self) -> None: ...
    async def bring_down(self, operation: Operation) -> None: ...


@dataclass
class FakeWorld:
    provider: FakeProvider
    takes_any_transfer = True

    def pay(self, order_code: int, amount: int | None = None) -> Delivery:
        return self.provider.pay(order_code, amount)

    def drain_wallet(self) -> None:
        self.provider.wallet = 0

    async def bring_down(self, operation: Operation) -> None:
        self.provider.down_seconds[operation] = 5.0


@dataclass
class PayOSWorld:
    simulator: Simulator
    provider: PaymentProvider
    takes_any_transfer = True

    def pay(self, order_code: int, amount: int | None = None) -> Delivery:
        self.simulator.pay(order_code, amount)
        return {}, msgspec.json.encode(self.simulator.webhook(order_code))

    def drain_wallet(self) -> None:
        self.simulator.modes(wallet=0)

    async def bring_down(self, operation: Operation) -> None:
        await fail_calls(self.simulator, self.provider, operation)


@dataclass
class StripeWorld:
    simulator: StripeSimulator
    provider: PaymentProvider
    takes_any_transfer = False

    def pay(self, order_code: int, amount: int | None = None) -> Delivery:
        self.simulator.pay(order_code)
        return self.simulator.events("charge.succeeded", about=order_code)[-1]

    def drain_wallet(self) -> None:
        self.simulator.modes(balance=0)

    async def bring_down(self, operation: Operation) -> None:
        await fail_calls(self.simulator, self.provider, operation)


async def fail_calls(
    simulator: Simulator | StripeSimulator, provider: PaymentProvider, operation: Operation
) -> None:
    simulator.fault("status", status=500, times=10 * CALLS_MIN)
    for _ in range(CALLS_MIN):
        with contextlib.suppress(ProviderError):
            await CALLS[operation](provider)
    simulator.clear_faults()


def checkout(amount: int = 45_000) -> CheckoutRequest:
    now = datetime.now(UTC)
    return CheckoutRequest(
        order_code=new_order_code(now),
        money=Money(amount, Currency.VND),
        transfer_text=new_transfer_text(),
        return_url="https://shop.example/thanks",
        cancel_url="https://shop.example/cart",
        expires_at=now + timedelta(minutes=15),
    )


def payout(reference: str, amount: int = 1000, *, to: Payer = SOMEBODY) -> RefundRequest:
    return RefundRequest(
        reference=reference,
        idempotency_key=reference,
        money=Money(amount, Currency.VND),
        bank_bin=to.bank_bin,
        account_number=to.account_number or "",
        text="REFUND 1",
    )


def new_reference() -> str:
    return f"{new_id('ref', datetime.now(UTC))}-1"


CALLS: dict[Operation, Callable[[PaymentProvider], Awaitable[Any]]] = {
    Operation.CREATE: lambda provider: provider.create_payment(checkout()),
    Operation.GET: lambda provider: provider.get_payment(1),
    Operation.CANCEL: lambda provider: provider.cancel_payment(1, "why not"),
    Operation.REFUND: lambda provider: provider.refund(payout(new_reference())),
    Operation.FIND_REFUND: lambda provider: provider.find_refund(new_reference()),
}
