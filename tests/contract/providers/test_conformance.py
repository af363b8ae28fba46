"""What every provider must do, and the service relies on: one suite, run on each of them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, cast

import httpx
import msgspec
import pytest

from payment_service.domain.errors import InvalidSettings, WebhookSignatureInvalid
from payment_service.domain.ids import new_id, new_order_code, new_transfer_text
from payment_service.domain.money import Currency, Money
from payment_service.providers.circuit_breaker import CALLS_MIN, OPEN_SECONDS_MAX
from payment_service.providers.fake.adapter import FakeProvider
from payment_service.providers.provider import (
    CheckoutRequest,
    CheckoutState,
    HeldBack,
    InsufficientFunds,
    InvalidDestination,
    Operation,
    OutcomeUnknown,
    Payer,
    PaymentProvider,
    PayoutState,
    ProviderError,
    RefundRequest,
    UnknownReference,
    UnreadableWebhook,
)
from payment_service.providers.registry import open_provider
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


@pytest.fixture(params=["fake", "payos", "stripe"])
async def setting(
    request: pytest.FixtureRequest, simulator: Simulator, stripe: StripeSimulator
) -> AsyncIterator[tuple[PaymentProvider, World]]:
    environments = {"payos": simulator.environment, "stripe": stripe.environment, "fake": {}}
    environment = environments[request.param]
    async with open_provider(request.param, environment, lambda *_: None) as provider:
        worlds: dict[str, Any] = {
            "payos": lambda: PayOSWorld(simulator, provider),
            "stripe": lambda: StripeWorld(stripe, provider),
            "fake": lambda: FakeWorld(cast("FakeProvider", provider)),
        }
        yield provider, worlds[request.param]()


@pytest.fixture
def provider(setting: tuple[PaymentProvider, World]) -> PaymentProvider:
    return setting[0]


@pytest.fixture
def world(setting: tuple[PaymentProvider, World]) -> World:
    return setting[1]


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


async def payer_of_a_payment(provider: PaymentProvider, world: World) -> Payer:
    """Tell who paid, as the service would learn it: a provider may give back to nobody else."""
    request = checkout()
    await provider.create_payment(request)
    world.pay(request.order_code)
    seen = await provider.get_payment(request.order_code)
    payer = seen.transfers[0].payer
    assert payer is not None
    return payer


CALLS: dict[Operation, Callable[[PaymentProvider], Awaitable[Any]]] = {
    Operation.CREATE: lambda provider: provider.create_payment(checkout()),
    Operation.GET: lambda provider: provider.get_payment(1),
    Operation.CANCEL: lambda provider: provider.cancel_payment(1, "why not"),
    Operation.REFUND: lambda provider: provider.refund(payout(new_reference())),
    Operation.FIND_REFUND: lambda provider: provider.find_refund(new_reference()),
}


async def test_a_provider_is_ready_for_everything(provider: PaymentProvider) -> None:
    for operation in Operation:
        provider.check_ready(operation)


async def test_what_is_down_is_held_back_and_everything_else_goes_on(
    provider: PaymentProvider, world: World
) -> None:
    request = checkout()
    await provider.create_payment(request)
    await world.bring_down(Operation.CREATE)

    with pytest.raises(HeldBack) as early:
        provider.check_ready(Operation.CREATE)
    with pytest.raises(HeldBack) as late:
        await provider.create_payment(checkout())

    for refusal in (early.value, late.value):
        assert 0 < (refusal.retry_after_seconds or 0) <= OPEN_SECONDS_MAX
    headers, body = world.pay(request.order_code)
    provider.verify_webhook(headers, body)
    assert (await provider.get_payment(request.order_code)).amount_paid == 45_000
    for operation in set(Operation) - {Operation.CREATE}:
        provider.check_ready(operation)


@pytest.mark.parametrize("operation", CALLS)
async def test_every_operation_can_be_held_back(
    provider: PaymentProvider, world: World, operation: Operation
) -> None:
    await world.bring_down(operation)

    with pytest.raises(HeldBack):
        await CALLS[operation](provider)


async def test_created_payment_can_be_asked_for(provider: PaymentProvider) -> None:
    request = checkout()

    made = await provider.create_payment(request)
    seen = await provider.get_payment(request.order_code)

    assert made.checkout_url.startswith(("http://", "https://"))
    assert bool(made.qr_code) is provider.capabilities.native_qr
    assert seen.provider_reference == made.provider_reference
    assert (seen.state, seen.amount, seen.amount_paid) == (CheckoutState.OPEN, 45_000, 0)


async def test_order_code_is_used_once_and_the_second_use_is_not_a_refusal(
    provider: PaymentProvider,
) -> None:
    request = checkout()
    await provider.create_payment(request)

    with pytest.raises(OutcomeUnknown):
        await provider.create_payment(request)


async def test_unknown_payment_is_told_apart(provider: PaymentProvider) -> None:
    with pytest.raises(UnknownReference):
        await provider.get_payment(new_order_code(datetime.now(UTC)))
    with pytest.raises(UnknownReference):
        await provider.cancel_payment(new_order_code(datetime.now(UTC)), "why not")


async def test_webhook_and_question_tell_the_same_transfer(
    provider: PaymentProvider, world: World
) -> None:
    request = checkout()
    await provider.create_payment(request)

    headers, body = world.pay(request.order_code)

    verified = provider.verify_webhook(headers, body)
    report = provider.parse_webhook(body, verified.schema_version)
    seen = await provider.get_payment(request.order_code)
    assert report.transfer is not None
    assert (seen.state, seen.amount_paid) == (CheckoutState.PAID, 45_000)
    told = seen.transfers[0]
    for field in ("order_code", "provider_reference", "bank_reference", "money", "occurred_at"):
        assert getattr(told, field) == getattr(report.transfer, field), field
    assert told.occurred_at.tzinfo is UTC


async def test_deliveries_of_one_event_have_one_name(
    provider: PaymentProvider, world: World
) -> None:
    request, other = checkout(), checkout()
    await provider.create_payment(request)
    await provider.create_payment(other)
    headers, body = world.pay(request.order_code, 100)
    second = request if world.takes_any_transfer else other
    more_headers, more = world.pay(second.order_code, 100)

    name = provider.verify_webhook(headers, body).event_id

    assert provider.verify_webhook(headers, body).event_id == name
    assert provider.verify_webhook(more_headers, more).event_id != name


async def test_changed_webhook_is_refused(provider: PaymentProvider, world: World) -> None:
    request = checkout()
    await provider.create_payment(request)
    headers, body = world.pay(request.order_code)

    with pytest.raises(WebhookSignatureInvalid):
        provider.verify_webhook(headers, body.replace(b"45000", b"45001"))


def test_nonsense_cannot_be_read(provider: PaymentProvider) -> None:
    with pytest.raises(UnreadableWebhook):
        provider.parse_webhook(b"{}", "v1")


async def test_cancelled_payment_is_closed(provider: PaymentProvider) -> None:
    request = checkout()
    await provider.create_payment(request)

    closed = await provider.cancel_payment(request.order_code, "out of stock")
    again = await provider.cancel_payment(request.order_code, "out of stock")

    assert closed.state is again.state is CheckoutState.CANCELED


async def test_cancelling_a_paid_payment_tells_that_it_is_paid(
    provider: PaymentProvider, world: World
) -> None:
    request = checkout()
    await provider.create_payment(request)
    world.pay(request.order_code)

    seen = await provider.cancel_payment(request.order_code, "too late")

    assert (seen.state, seen.amount_paid) == (CheckoutState.PAID, 45_000)


async def test_money_after_the_end_is_told(provider: PaymentProvider, world: World) -> None:
    request = checkout()
    await provider.create_payment(request)
    await provider.cancel_payment(request.order_code, "out of stock")
    if not world.takes_any_transfer:
        with pytest.raises(httpx.HTTPStatusError):  # the page takes no card any more
            world.pay(request.order_code)
        return
    world.pay(request.order_code)

    seen = await provider.get_payment(request.order_code)

    assert (seen.state, len(seen.transfers)) == (CheckoutState.CANCELED, 1)


async def test_refund_is_paid_once_whatever_happens(
    provider: PaymentProvider, world: World
) -> None:
    payer, reference = await payer_of_a_payment(provider, world), new_reference()
    assert await provider.find_refund(reference) is None

    made = await asyncio.gather(*(provider.refund(payout(reference, to=payer)) for _ in range(5)))
    found = await provider.find_refund(reference)

    assert found is not None
    assert {refund.provider_reference for refund in made} == {found.provider_reference}
    assert (found.state, found.amount) == (PayoutState.SUCCEEDED, 1000)


async def test_empty_wallet_is_a_definite_refusal(provider: PaymentProvider, world: World) -> None:
    payer = await payer_of_a_payment(provider, world)
    world.drain_wallet()

    with pytest.raises(InsufficientFunds):
        await provider.refund(payout(new_reference(), to=payer))


async def test_what_cannot_be_paid_back_to_is_a_definite_refusal(provider: PaymentProvider) -> None:
    nobody = Payer(bank_id=None, bank_bin=None, account_number="nobody")
    if provider.name == "fake":
        pytest.skip("the fake bank knows every account")

    with pytest.raises(InvalidDestination):
        await provider.refund(payout(new_reference(), to=nobody))


def test_unknown_provider_is_refused_with_the_names_that_exist() -> None:
    with pytest.raises(InvalidSettings, match="fake, payos, stripe"):
        open_provider("paypal", {}, lambda *_: None)


@pytest.mark.parametrize(
    ("name", "settings", "faults"),
    [
        ("payos", {"PAYOS_BASE_URL": "ftp://x/y"}, 5),
        ("stripe", {"STRIPE_BASE_URL": "ftp://x/y", "STRIPE_SECRET_KEY": "pk_test_x"}, 4),
    ],
)
async def test_bad_settings_are_told_all_at_once(
    name: str, settings: dict[str, str], faults: int
) -> None:
    with pytest.raises(InvalidSettings) as caught:
        async with open_provider(name, settings, lambda *_: None):
            pass

    assert len(caught.value.faults) == faults
    assert all(value not in fault for value in settings.values() for fault in caught.value.faults)
