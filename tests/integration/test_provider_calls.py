"""Calls to a payOS on which things go wrong: in time, again when that is safe, and not for ever."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from payment_service import failpoints
from payment_service.domain.ids import new_order_code, new_transfer_text
from payment_service.domain.money import Currency, Money
from payment_service.providers import deadline
from payment_service.providers.circuit_breaker import CALLS_MIN, CircuitState
from payment_service.providers.guard import Guard
from payment_service.providers.notices import CircuitChanged, Notice, RetryWanted
from payment_service.providers.payos import adapter
from payment_service.providers.provider import (
    CheckoutRequest,
    HeldBack,
    Operation,
    OutcomeUnknown,
    PaymentProvider,
    ProviderError,
    ProviderFailing,
    ProviderThrottled,
    ProviderTimeout,
    RefundRequest,
    UnknownReference,
)
from payment_service.providers.registry import open_provider
from tests.support.simulator import Simulator
from tests.support.ticking import Ticking

MISSING = 1  # an order code that no link has


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Ticking:
    """The time of circuits and of waiting."""
    ticking = Ticking()
    monkeypatch.setattr(adapter, "Guard", partial(Guard, now=ticking, sleep=ticking.sleep))
    return ticking


@pytest.fixture
def notices() -> list[Notice]:
    return []


@pytest.fixture
async def provider(
    time: Ticking, notices: list[Notice], simulator: Simulator
) -> AsyncIterator[PaymentProvider]:
    async with open_provider("payos", simulator.environment, notices.append) as opened:
        yield opened


@pytest.fixture
def sent() -> Iterator[list[str]]:
    """The operations that went out, one entry a try."""
    tries: list[str] = []

    def note(point: str) -> None:
        name, _, edge = point.partition(":")
        if edge == "before" and name.startswith("provider."):
            tries.append(name.removeprefix("provider."))

    failpoints.arm(note)
    yield tries
    failpoints.arm(None)


def checkout() -> CheckoutRequest:
    now = datetime.now(UTC)
    return CheckoutRequest(
        order_code=new_order_code(now),
        money=Money(45_000, Currency.VND),
        transfer_text=new_transfer_text(),
        return_url="https://shop.example/thanks",
        cancel_url="https://shop.example/cart",
        expires_at=now + timedelta(minutes=15),
    )


def payout() -> RefundRequest:
    reference = f"ref_{new_order_code(datetime.now(UTC))}-1"
    return RefundRequest(
        reference=reference,
        idempotency_key=reference,
        money=Money(1000, Currency.VND),
        bank_bin="970422",
        account_number="0123456789",
        text="REFUND 1",
    )


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_read_is_tried_again(
    provider: PaymentProvider, simulator: Simulator, sent: list[str], status: int
) -> None:
    request = checkout()
    await provider.create_payment(request)
    simulator.fault("status", status=status)

    seen = await provider.get_payment(request.order_code)

    assert seen.order_code == request.order_code
    assert sent == ["create", "get", "get"]


@pytest.mark.parametrize("status", [400, 404, 408, 409, 422])
async def test_other_refusals_of_the_network_are_not_argued_with(
    provider: PaymentProvider, simulator: Simulator, sent: list[str], status: int
) -> None:
    simulator.fault("status", status=status, times=10)

    with pytest.raises(OutcomeUnknown):
        await provider.get_payment(MISSING)

    assert sent == ["get"]


@pytest.mark.parametrize("status", [429, 503])
async def test_a_read_comes_back_when_payos_says(
    provider: PaymentProvider, simulator: Simulator, time: Ticking, status: int
) -> None:
    simulator.fault("status", status=status, retry_after=3)

    with pytest.raises(UnknownReference):
        await provider.get_payment(MISSING)

    assert len(time.slept) == 1
    assert 3 <= time.slept[0] < 4


@pytest.mark.parametrize("kind", ["broken_before", "broken_after", "not_json"])
async def test_a_create_without_a_clear_answer_is_sent_once(
    provider: PaymentProvider, simulator: Simulator, sent: list[str], kind: str
) -> None:
    simulator.fault(kind)

    with pytest.raises(ProviderFailing):
        await provider.create_payment(checkout())

    assert sent == ["create"]


async def test_a_call_ends_when_the_time_of_its_request_does(
    provider: PaymentProvider, simulator: Simulator, sent: list[str]
) -> None:
    simulator.fault("timeout_before", seconds=4, times=2)
    left = deadline.RECORD_SECONDS + deadline.CALL_SECONDS_MIN + 0.2

    with deadline.within(left):
        with pytest.raises(ProviderTimeout):
            await provider.create_payment(checkout())
        with pytest.raises(HeldBack):
            await provider.get_payment(MISSING)

    assert sent == ["create"]


async def test_a_pause_that_payos_asks_for_is_for_that_operation_only(
    provider: PaymentProvider, simulator: Simulator, time: Ticking
) -> None:
    simulator.fault("status", status=429, retry_after=30)
    with pytest.raises(ProviderThrottled) as caught:
        await provider.create_payment(checkout())

    assert caught.value.retry_after_seconds == 30
    with pytest.raises(HeldBack):
        provider.check_ready(Operation.CREATE)
    with pytest.raises(UnknownReference):
        await provider.get_payment(MISSING)
    time.advance(30)
    await provider.create_payment(checkout())


async def test_a_dead_payout_channel_does_not_stop_payments(
    provider: PaymentProvider, simulator: Simulator, notices: list[Notice]
) -> None:
    simulator.fault("status", status=503, path="/v1/payouts.*", times=1000)
    for _ in range(CALLS_MIN):
        with pytest.raises(ProviderError):
            await provider.refund(payout())

    for operation in (Operation.REFUND, Operation.FIND_REFUND):
        with pytest.raises(HeldBack):
            provider.check_ready(operation)
    request = checkout()
    await provider.create_payment(request)
    await provider.get_payment(request.order_code)
    changes = [n for n in notices if isinstance(n, CircuitChanged)]
    assert {change.state for change in changes} == {CircuitState.OPEN}


async def test_a_payout_that_may_exist_is_never_called_unsent(
    provider: PaymentProvider, simulator: Simulator
) -> None:
    """It was made, its answer was lost, and nobody can be asked: the circuit of reads is open."""
    simulator.fault("status", status=503, method="GET", times=1000)
    for _ in range(CALLS_MIN):
        with pytest.raises(ProviderError):
            await provider.find_refund("ref_0-1")
    with pytest.raises(HeldBack):
        provider.check_ready(Operation.FIND_REFUND)
    simulator.fault("broken_after", method="POST")
    request = payout()

    with pytest.raises(OutcomeUnknown):
        await provider.refund(request)

    assert request.reference in str(simulator.ledger()["payouts"])


async def test_a_link_that_was_closed_but_not_seen_is_not_called_unsent(
    provider: PaymentProvider, simulator: Simulator
) -> None:
    request = checkout()
    await provider.create_payment(request)
    simulator.fault("status", status=429, retry_after=60, method="GET")
    with pytest.raises(ProviderThrottled):
        await provider.get_payment(request.order_code)

    with pytest.raises(OutcomeUnknown):
        await provider.cancel_payment(request.order_code, "out of stock")

    assert simulator.link(request.order_code)["status"] == "CANCELLED"


async def test_retries_of_reads_stay_within_their_budget(
    provider: PaymentProvider, simulator: Simulator, sent: list[str], notices: list[Notice]
) -> None:
    """A third of the calls fail at first: too few to open the circuit."""
    for _ in range(100):
        simulator.fault("status", status=500)
        with pytest.raises(ProviderError):
            await provider.get_payment(MISSING)
        with pytest.raises(UnknownReference):
            await provider.get_payment(MISSING)
        with pytest.raises(UnknownReference):
            await provider.get_payment(MISSING)

    wanted = [n for n in notices if isinstance(n, RetryWanted)]
    assert len(sent) <= 1.1 * 300 + 1
    assert {notice.is_granted for notice in wanted} == {True, False}
