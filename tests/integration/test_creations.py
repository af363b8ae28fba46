"""Creations whose request dies, hangs or comes back too late: finished once, by one owner."""

import asyncio
from typing import Any

import pytest

from payment_service.domain.idempotency import LEASE
from tests.support.death import death_at
from tests.support.held import Held
from tests.support.links import (
    PAYABLE,
    checkout_of,
    events,
    links,
    only_payment,
    order_codes,
    rows,
    seconds_between,
)  # fmt: skip
from tests.support.service import Harness, order
from tests.support.simulator import Simulator

CREATE, LINK = "/v2/payment-requests", r"/v2/payment-requests/\d+"
OVER = LEASE.total_seconds() + 1
DEATHS = (
    "commit.create_payment.reserve:after",
    "provider.create:before",
    "provider.create:after",
    "commit.create_payment.record:before",
)


@pytest.mark.parametrize("point", DEATHS)
async def test_dead_request_is_completed_and_a_late_retry_gets_its_answer(
    service: Harness, simulator: Simulator, point: str
) -> None:
    body = order()
    with death_at(point):
        await service.request("POST", "/v1/payments", body, key=point)
    payment_id = await only_payment(service)
    reserved = await service.get(payment_id)

    await service.advance(OVER)

    completed = await service.get(payment_id)
    retry = await service.request("POST", "/v1/payments", body, key=point)
    assert (reserved["version"], reserved["qr_code"]) == (0, None)
    assert (completed["version"], completed["status"]) == (1, "pending")
    assert retry.status_code == 201
    assert retry.headers["idempotent-replayed"] == "true"
    assert retry.json() == completed
    assert retry.json()["qr_code"]
    assert await events(service, payment_id) == ["payment.created"]
    states = await links(service, simulator, payment_id)
    assert states in (["PENDING"], ["CANCELLED", "PENDING"])


async def test_completed_payment_can_be_paid(service: Harness, simulator: Simulator) -> None:
    with death_at("commit.create_payment.record:before"):
        await service.request("POST", "/v1/payments", order())
    payment_id = await only_payment(service)
    await service.advance(OVER)
    link = (await service.get(payment_id))["provider_reference"]

    simulator.pay(link)
    await service.deliver(simulator.webhook(link))

    assert (await service.get(payment_id))["status"] == "paid"
    assert await events(service, payment_id) == ["payment.created", "payment.paid"]


async def test_answer_that_was_recorded_before_death_is_repeated(service: Harness) -> None:
    body = order()
    with death_at("commit.create_payment.record:after"):
        await service.request("POST", "/v1/payments", body, key="recorded")

    await service.advance(OVER)
    retry = await service.request("POST", "/v1/payments", body, key="recorded")

    assert (retry.status_code, retry.headers["idempotent-replayed"]) == (201, "true")


async def test_client_that_gets_no_answer_and_stays_away_is_completed_within_seconds(
    service: Harness, simulator: Simulator
) -> None:
    simulator.fault("status", path=CREATE, method="POST", status=503, times=2)
    response = await service.request("POST", "/v1/payments", order())

    await service.advance(2)

    payment = await service.get(await only_payment(service))
    assert response.status_code == 503
    assert (payment["version"], payment["status"]) == (1, "pending")
    assert payment["qr_code"]


async def test_patience_grows_while_the_provider_is_away(
    service: Harness, simulator: Simulator
) -> None:
    simulator.fault("status", path=".*", status=503, times=1000)
    await service.request("POST", "/v1/payments", order())
    waits = []
    for _ in range(7):
        ((released, again),) = await rows(
            service, "SELECT lease_until, next_check_at FROM idempotency_keys"
        )
        waits.append(seconds_between(released, again))
        await service.advance(waits[-1] + 0.1)
    simulator.clear_faults()

    await service.advance(301)

    # A slow machine may need the next try within a look, never the one before.
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (1, 300)
    assert set(waits) <= {1, 2, 5, 15, 60, 300}
    assert (await service.get(await only_payment(service)))["version"] == 1


async def test_refusal_that_nobody_waited_for_is_kept_for_the_retry(
    service: Harness, simulator: Simulator
) -> None:
    body = order()
    with death_at("provider.create:before"):
        await service.request("POST", "/v1/payments", body, key="refused")
    simulator.fault("code_before", path=CREATE, method="POST", code="20", description="amount")
    payment_id = await only_payment(service)

    await service.advance(OVER)

    payment = await service.get(payment_id)
    retry = await service.request("POST", "/v1/payments", body, key="refused")
    assert (payment["status"], payment["failure_reason"]) == ("failed", "rejected")
    assert (retry.status_code, retry.json()["code"]) == (422, "PAYMENT_FAILED")
    assert retry.headers["idempotent-replayed"] == "true"
    assert await events(service, payment_id) == ["payment.failed"]


async def test_payment_that_never_got_a_link_expires(
    service: Harness, simulator: Simulator
) -> None:
    body = order(expires_in_seconds=300)
    simulator.fault("status", path=CREATE, method="POST", status=500, times=1000)
    await service.request("POST", "/v1/payments", body, key="expired")
    await service.advance(200)
    before = await service.get(await only_payment(service))

    await service.advance(410)

    after = await service.get(before["payment_id"])
    retry = await service.request("POST", "/v1/payments", body, key="expired")
    assert (before["status"], after["status"]) == ("pending", "expired")
    assert (retry.status_code, retry.json()["status"]) == (201, "expired")
    assert await events(service, before["payment_id"]) == ["payment.expired"]
    assert await links(service, simulator, before["payment_id"]) == []


async def test_link_that_is_found_when_its_time_is_up_is_closed(
    service: Harness, simulator: Simulator
) -> None:
    with death_at("provider.create:after"):
        await service.request("POST", "/v1/payments", order(expires_in_seconds=300))
    payment_id = await only_payment(service)

    await service.advance(301)

    assert (await service.get(payment_id))["status"] == "expired"
    assert await links(service, simulator, payment_id) == ["CANCELLED"]


@pytest.mark.parametrize("told_by", ["webhook", "nobody"])
async def test_money_on_a_link_that_no_answer_told_of_is_adopted(
    service: Harness, simulator: Simulator, told_by: str
) -> None:
    body = order(45_000)
    with death_at("provider.create:after"):
        await service.request("POST", "/v1/payments", body, key="adopted")
    payment_id = await only_payment(service)
    (code,) = await order_codes(service, payment_id)
    simulator.pay(code)
    if told_by == "webhook":
        await service.deliver(simulator.webhook(code))

    await service.advance(OVER)

    paid = await service.get(payment_id)
    retry = await service.request("POST", "/v1/payments", body, key="adopted")
    assert (paid["status"], paid["amounts"]["received"]) == ("paid", 45_000)
    assert (retry.status_code, retry.json()["status"]) == (201, "paid")
    assert await events(service, payment_id) == ["payment.created", "payment.paid"]
    assert await links(service, simulator, payment_id) == ["PAID"]


async def test_answer_tells_what_is_open_about_money_that_was_faster(
    service: Harness, simulator: Simulator
) -> None:
    body = order(45_000)
    with death_at("provider.create:after"):
        await service.request("POST", "/v1/payments", body, key="faster")
    payment_id = await only_payment(service)
    simulator.pay((await order_codes(service, payment_id))[0], 20_000)

    await service.advance(OVER)

    retry = await service.request("POST", "/v1/payments", body, key="faster")
    assert [each["code"] for each in retry.json()["exceptions"]] == ["underpaid"]


async def test_link_of_another_amount_is_somebody_elses_and_never_touched(
    service: Harness, simulator: Simulator
) -> None:
    with death_at("provider.create:before"):
        await service.request("POST", "/v1/payments", order(45_000))
    payment_id = await only_payment(service)
    (code,) = await order_codes(service, payment_id)
    await service.service.provider.create_payment(checkout_of(service, code, amount=1_000))

    await service.advance(OVER)

    assert (await service.get(payment_id))["version"] == 1
    assert await links(service, simulator, payment_id) == ["PENDING", "PENDING"]
    assert simulator.link(code)["amount"] == 1_000
    assert len(await order_codes(service, payment_id)) == 2


async def test_link_in_a_state_that_nobody_knows_is_not_replaced(
    service: Harness, simulator: Simulator
) -> None:
    with death_at("provider.create:after"):
        await service.request("POST", "/v1/payments", order())
    payment_id = await only_payment(service)
    simulator.fault("altered", path=LINK, method="GET", data={"status": "RESTING"})

    await service.advance(OVER)
    asked = await links(service, simulator, payment_id)
    await service.advance(10)

    assert asked == ["PENDING"]
    assert (await service.get(payment_id))["version"] == 1
    assert await links(service, simulator, payment_id) == ["CANCELLED", "PENDING"]


async def test_refusal_does_not_overrule_a_link_that_had_landed(
    service: Harness, simulator: Simulator
) -> None:
    body = order()
    with death_at("provider.create:after"):
        await service.request("POST", "/v1/payments", body, key="landed")
    service.clock.advance(LEASE * 2)
    simulator.fault("code_before", path=LINK, method="GET", code="101")
    simulator.fault("code_before", path=CREATE, method="POST", code="20")

    response = await service.request("POST", "/v1/payments", body, key="landed")

    assert (response.status_code, response.json()["status"]) == (201, "pending")
    states = await links(service, simulator, response.json()["payment_id"])
    assert states == ["CANCELLED", "PENDING"]


async def test_answer_about_another_link_is_not_believed(
    service: Harness, simulator: Simulator
) -> None:
    payment = await service.create()
    lie = {"orderCode": 1, "status": "CANCELLED"}
    simulator.fault("altered", path=LINK, method="GET", data=lie)

    await service.advance(31)

    assert (await service.get(payment["payment_id"]))["status"] == "pending"


async def test_live_request_is_not_disturbed(
    service: Harness, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = Held(service.service.provider.create_payment)
    monkeypatch.setattr(service.service.provider, "create_payment", call)
    creating = asyncio.create_task(service.request("POST", "/v1/payments", order()))
    await call.answered.wait()

    await service.advance(OVER / 2)
    reserved = await service.get(await only_payment(service))
    cancel = await service.request("POST", f"/v1/payments/{reserved['payment_id']}/cancel")
    call.leave.set()
    response = await creating

    assert reserved["version"] == 0
    assert (cancel.status_code, cancel.json()["code"]) == (409, "CONCURRENT_UPDATE")
    assert (response.status_code, response.json()["version"]) == (201, 1)
    assert await links(service, simulator, reserved["payment_id"]) == ["PENDING"]


@pytest.mark.parametrize("operation", ["create_payment", "get_payment", "cancel_payment"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_owner_that_was_taken_over_writes_nothing_and_closes_nothing(
    service: Harness,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    operation: str,
    when: str,
) -> None:
    """The first owner hangs before or after one call, and wakes when all is long decided."""
    body = order()
    provider = service.service.provider
    if operation != "create_payment":  # then the owner that hangs is one that looks for a link
        with death_at("provider.create:after"):
            await service.request("POST", "/v1/payments", body, key="zombie")
        service.clock.advance(LEASE * 2)
    call = Held(getattr(provider, operation), before=when == "before")
    monkeypatch.setattr(provider, operation, call)
    hanging = asyncio.create_task(service.request("POST", "/v1/payments", body, key="zombie"))
    await call.answered.wait()
    payment_id = await only_payment(service)

    await service.advance(OVER)
    decided = await service.get(payment_id)
    trace = await written(service)
    call.leave.set()
    late = await hanging

    assert await written(service) == trace
    assert (late.status_code, late.json()["code"]) == (409, "IDEMPOTENCY_IN_PROGRESS")
    retry = await service.request("POST", "/v1/payments", body, key="zombie")
    assert retry.json() == decided
    states = await links(service, simulator, payment_id)
    assert [state for state in states if state in PAYABLE] == ["PENDING"]
    assert simulator.link(decided["provider_reference"])["status"] == "PENDING"


@pytest.mark.parametrize("operation", ["create_payment", "get_payment", "cancel_payment"])
async def test_owner_that_was_taken_over_leaves_its_successor_alone(
    service: Harness, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    """The first owner wakes while the second waits for the answer about the next link."""
    body = order()
    provider = service.service.provider
    if operation != "create_payment":  # then the owner that hangs is one that looks for a link
        with death_at("provider.create:after"):
            await service.request("POST", "/v1/payments", body, key="zombie")
        service.clock.advance(LEASE * 2)
    first, second = Held(getattr(provider, operation)), Held(provider.create_payment)
    monkeypatch.setattr(provider, operation, first)
    zombie = asyncio.create_task(service.request("POST", "/v1/payments", body, key="zombie"))
    await first.answered.wait()
    monkeypatch.setattr(provider, "create_payment", second)
    service.clock.advance(LEASE * 2)
    successor = asyncio.create_task(service.request("POST", "/v1/payments", body, key="zombie"))
    await second.answered.wait()
    trace = await written(service)

    first.leave.set()
    late = await zombie
    left = await written(service)
    second.leave.set()
    answer = await successor

    assert left == trace
    assert (late.status_code, late.json()["code"]) == (409, "IDEMPOTENCY_IN_PROGRESS")
    assert (answer.status_code, answer.json()["version"]) == (201, 1)
    states = await links(service, simulator, answer.json()["payment_id"])
    assert states == ["CANCELLED", "PENDING"]


async def test_cancel_that_died_after_closing_the_link_takes_effect(
    service: Harness, simulator: Simulator
) -> None:
    payment = await service.create()
    path = f"/v1/payments/{payment['payment_id']}/cancel"
    with death_at("provider.cancel:after"):
        await service.request("POST", path, key="cancel")

    await service.advance(OVER)

    canceled = await service.get(payment["payment_id"])
    retry = await service.request("POST", path, key="cancel")
    assert (canceled["status"], canceled["failure_reason"]) == ("failed", "canceled")
    assert (retry.status_code, retry.json()["status"]) == (200, "failed")


async def written(service: Harness) -> list[list[Any]]:
    """Everything that is on record."""
    tables = ("payments", "payment_attempts", "idempotency_keys", "audit_log", "outbox_events")
    return [await rows(service, f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables]
