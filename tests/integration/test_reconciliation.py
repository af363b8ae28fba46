"""What nobody tells us is asked for: lost webhooks, deadlines, late money; within a budget."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from payment_service.providers.circuit_breaker import OPEN_SECONDS_MAX
from payment_service.providers.guard import Guard
from payment_service.providers.payos import adapter
from payment_service.workers import scheduler
from tests.support.death import death_at
from tests.support.links import checkout_of, links, only_payment, order_codes
from tests.support.service import Harness, order
from tests.support.simulator import Simulator
from tests.support.ticking import Ticking

DAY_SECONDS = 86_400
LOST = 300  # webhooks
STEP_SECONDS = 10
HEALED_SECONDS = 600


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Ticking:
    """The time by which the provider is left alone while it fails; name it before the service."""
    ticking = Ticking()
    monkeypatch.setattr(adapter, "Guard", partial(Guard, now=ticking, sleep=ticking.sleep))
    return ticking


def calls(service: Harness) -> int:
    """Count the questions to the provider so far."""
    registry = service.service.metrics.registry
    return sum(
        int(sample.value)
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "payments_provider_calls_total"
        and sample.labels["operation"] in {"get", "cancel"}
    )


async def statuses(service: Harness) -> dict[str, int]:
    async with service.service.database.engine.connect() as connection:
        rows = await connection.exec_driver_sql(
            "SELECT status, COUNT(*) FROM payments GROUP BY status"
        )
        return {row[0]: row[1] for row in rows}


@pytest.mark.slow
async def test_day_of_lost_webhooks_heals_itself_within_the_budget(
    service: Harness, simulator: Simulator
) -> None:
    for _ in range(LOST):
        payment = await service.create(100)
        simulator.pay(payment["provider_reference"])
    before = calls(service)
    service.clock.advance(timedelta(seconds=DAY_SECONDS))
    began = service.clock()
    await service.settle()

    while (await statuses(service)).get("paid", 0) < LOST:
        await service.advance(STEP_SECONDS)
        made = calls(service) - before
        seconds = (service.clock() - began).total_seconds()
        allowed = scheduler.RECONCILE_CALLS_PER_MINUTE * seconds / 60
        assert made <= scheduler.RECONCILE_CALLS_BURST + allowed
        assert seconds <= HEALED_SECONDS, "the service does not heal"

    seconds = (service.clock() - began).total_seconds()
    print(f"{LOST} lost webhooks: healed in {seconds:.0f} s with {calls(service) - before} calls")
    assert await statuses(service) == {"paid": LOST}


async def test_what_is_most_at_risk_is_asked_about_first(
    service: Harness, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = await service.create(expires_in_seconds=60)
    await service.advance(61)
    simulator.pay(closed["provider_reference"])
    waiting = await service.create(expires_in_seconds=3600)
    simulator.pay(waiting["provider_reference"])
    overdue = await service.create(expires_in_seconds=901)
    monkeypatch.setattr(scheduler, "RECONCILE_CALLS_BURST", 2)
    monkeypatch.setattr(scheduler, "RECONCILE_CALLS_PER_MINUTE", 2)
    service.clock.advance(timedelta(seconds=902))
    poor = service.service.scheduler()

    seen = []
    for _ in range(3):
        await poor.run_once()
        seen.append([
            (await service.get(overdue["payment_id"]))["status"],
            (await service.get(waiting["payment_id"]))["status"],
            (await service.get(closed["payment_id"]))["amounts"]["received"],
        ])  # fmt: skip
        service.clock.advance(timedelta(seconds=31))

    assert seen == [
        ["expired", "pending", 0],
        ["expired", "paid", 0],
        ["expired", "paid", 45_000],
    ]


async def test_late_money_is_found_for_two_days_and_then_nothing_is_asked(
    service: Harness, simulator: Simulator
) -> None:
    late, silent = [await service.create(expires_in_seconds=60) for _ in range(2)]
    await service.advance(61)
    for _ in range(47):
        await service.advance(3600)
    simulator.pay(late["provider_reference"])

    await service.advance(2 * 3600)
    watched = calls(service)
    for _ in range(10):
        await service.advance(DAY_SECONDS)

    seen = await service.get(late["payment_id"])
    assert (seen["status"], seen["amounts"]["unapplied"]) == ("expired", 45_000)
    assert [entry["code"] for entry in seen["exceptions"]] == ["late"]
    assert (await service.get(silent["payment_id"]))["amounts"]["received"] == 0
    assert calls(service) == watched


async def test_payment_that_never_had_a_link_is_not_asked_about_for_ever(
    service: Harness, simulator: Simulator
) -> None:
    path = "/v2/payment-requests"
    simulator.fault("code_before", path=path, method="POST", code="20", description="amount")
    refused = await service.request("POST", "/v1/payments", order())
    assert refused.status_code == 422, refused.text

    for _ in range(5):
        await service.advance(DAY_SECONDS)
    asked = calls(service)
    await service.advance(DAY_SECONDS)

    assert calls(service) == asked


async def test_link_that_comes_after_the_end_of_its_payment_is_closed(
    service: Harness, simulator: Simulator
) -> None:
    """A request for a link that is long on its way is acted on when nobody waits any more."""
    with death_at("provider.create:before"):
        await service.request("POST", "/v1/payments", order(100, expires_in_seconds=300))
    payment_id = await only_payment(service)
    await service.advance(301)
    assert (await service.get(payment_id))["status"] == "expired"
    (code,) = await order_codes(service, payment_id)
    await service.service.provider.create_payment(checkout_of(service, code, amount=100))
    assert await links(service, simulator, payment_id) == ["PENDING"]

    await service.advance(16 * 60)

    assert await links(service, simulator, payment_id) == ["CANCELLED"]


async def test_second_transfer_to_a_paid_link_is_found_without_a_webhook(
    service: Harness, simulator: Simulator
) -> None:
    payment = await service.create()
    simulator.pay(payment["provider_reference"])
    await service.advance(31)
    simulator.pay(payment["provider_reference"])

    await service.advance(15 * 60)

    seen = await service.get(payment["payment_id"])
    assert [entry["code"] for entry in seen["exceptions"]] == ["duplicate_transfer"]


async def test_last_look_at_a_closed_link_is_repeated_until_it_is_answered(
    time: Ticking, service: Harness, simulator: Simulator
) -> None:
    payment = await service.create(expires_in_seconds=60)
    await service.advance(61)
    simulator.pay(payment["provider_reference"])
    simulator.fault("status", times=10_000)

    for _ in range(50):
        await service.advance(3600)
    unknown = await service.get(payment["payment_id"])
    simulator.clear_faults()
    time.advance(2 * OPEN_SECONDS_MAX)
    await service.advance(3600)

    assert unknown["amounts"]["received"] == 0
    assert (await service.get(payment["payment_id"]))["amounts"]["unapplied"] == 45_000


async def test_last_look_is_given_up_when_nobody_answers_for_days(
    time: Ticking, service: Harness, simulator: Simulator
) -> None:
    payment = await service.create(expires_in_seconds=60)
    await service.advance(61)
    simulator.fault("code", code="101", times=10_000)  # the link is not found

    for _ in range(10):
        await service.advance(DAY_SECONDS / 2)
        time.advance(2 * OPEN_SECONDS_MAX)
    asked = calls(service)
    await service.advance(10 * DAY_SECONDS)

    assert calls(service) == asked
    assert (await service.get(payment["payment_id"]))["status"] == "expired"


async def test_payment_stays_pending_but_hidden_while_the_provider_is_away_at_the_deadline(
    time: Ticking, service: Harness, simulator: Simulator
) -> None:
    payment = await service.create(expires_in_seconds=60)
    picture = payment["qr_url"].removeprefix("http://payments.test")
    simulator.fault("status", times=10_000)

    hidden: list[dict[str, Any]] = []
    for _ in range(20):
        await service.advance(61)
        hidden.append(await service.get(payment["payment_id"]))
    drawn = await service.http.get(picture)
    simulator.clear_faults()
    time.advance(2 * OPEN_SECONDS_MAX)
    await service.advance(61)

    assert {seen["status"] for seen in hidden} == {"pending"}
    assert {(seen["checkout_url"], seen["qr_code"], seen["qr_url"]) for seen in hidden} == {
        (None, None, None)
    }
    assert drawn.status_code == 404
    assert (await service.get(payment["payment_id"]))["status"] == "expired"
    assert simulator.link(payment["provider_reference"])["status"] == "CANCELLED"


async def test_money_that_comes_at_the_last_moment_wins_over_the_deadline(
    service: Harness, simulator: Simulator
) -> None:
    payment = await service.create(expires_in_seconds=60)
    simulator.pay(payment["provider_reference"])

    await service.advance(61)

    assert (await service.get(payment["payment_id"]))["status"] == "paid"
