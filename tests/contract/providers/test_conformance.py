"""What every provider must do, and the service relies on: one suite, run on each of them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from payment_service.domain.errors import InvalidSettings, WebhookSignatureInvalid
from payment_service.domain.ids import new_order_code
from payment_service.providers.circuit_breaker import OPEN_SECONDS_MAX
from payment_service.providers.fake.adapter import FakeProvider
from payment_service.providers.provider import (
    CheckoutState,
    HeldBack,
    InsufficientFunds,
    InvalidDestination,
    Operation,
    OutcomeUnknown,
    Payer,
    PaymentProvider,
    PayoutState,
    UnknownReference,
    UnreadableWebhook,
)
from payment_service.providers.registry import GROUP, open_provider
from tests.contract.providers.worlds import (
    CALLS,
    FakeWorld,
    PayOSWorld,
    StripeWorld,
    World,
    checkout,
    new_reference,
    payout,
)
from tests.support.simulator import Simulator
from tests.support.stripe_simulator import StripeSimulator


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


async def payer_of_a_payment(provider: PaymentProvider, world: World) -> Payer:
    """Tell who paid, as the service would learn it: a provider may give back to nobody else."""
    request = checkout()
    await provider.create_payment(request)
    world.pay(request.order_code)
    seen = await provider.get_payment(request.order_code)
    payer = seen.transfers[0].payer
    assert payer is not None
    return payer


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


async def test_provider_of_another_package_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = tmp_path / "acme_payments-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-payments\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{GROUP}]\nacme = acme_payments:open_provider\n")
    module = "from payment_service.providers.fake.adapter import open_provider\n"
    (tmp_path / "acme_payments.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)

    async with open_provider("acme", {}, lambda *_: None) as provider:
        made = await provider.create_payment(checkout())

    assert made.checkout_url


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
