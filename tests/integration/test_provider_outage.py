"""A provider that is down: nothing is begun in vain, everything else goes on, and it heals."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import httpx
import pytest

from payment_service import failpoints
from payment_service.api import payments as api_payments
from payment_service.providers.circuit_breaker import (
    CALLS_MIN,
    JITTER,
    OPEN_SECONDS,
    OPEN_SECONDS_MAX,
    SUCCESSES_TO_CLOSE,
)
from payment_service.providers.exchange import Connections
from payment_service.providers.guard import Guard
from payment_service.providers.payos import adapter
from payment_service.workers import scheduler
from tests.support.service import Harness, order
from tests.support.simulator import Simulator
from tests.support.ticking import Ticking

CREATE = {"path": "/v2/payment-requests", "method": "POST"}
TABLES = ("payments", "payment_attempts", "idempotency_keys", "outbox_events", "audit_log")


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Ticking:
    """The time of circuits: it moves when the test says so, from before the service opens."""
    ticking = Ticking()
    monkeypatch.setattr(adapter, "Guard", partial(Guard, now=ticking))
    return ticking


@pytest.fixture
async def service(time: Ticking, service: Harness) -> AsyncIterator[Harness]:
    yield service
    time.advance(OPEN_SECONDS_MAX * (1 + JITTER))  # so that its workers may ask the provider again


@pytest.fixture
def tries() -> Iterator[list[str]]:
    """What was sent to the provider, one entry a try."""
    sent: list[str] = []

    def note(point: str) -> None:
        if point.startswith("provider.") and point.endswith(":before"):
            sent.append(point)

    failpoints.arm(note)
    yield sent
    failpoints.arm(None)


async def rows(service: Harness) -> dict[str, int]:
    counts = {}
    async with service.service.database.engine.connect() as connection:
        for table in TABLES:
            result = await connection.exec_driver_sql(f"SELECT COUNT(*) FROM {table}")
            counts[table] = result.scalar_one()
    return counts


def metric(service: Harness, name: str, **labels: str) -> float | None:
    labels = {"provider": "payos", "operation": "create", **labels}
    return service.service.metrics.registry.get_sample_value(name, labels)


async def bring_down(service: Harness, simulator: Simulator) -> None:
    """Have creates fail until nobody asks any more."""
    simulator.fault("status", status=500, times=1000, **CREATE)
    for _ in range(CALLS_MIN):
        response = await service.request("POST", "/v1/payments", order())
        assert response.json()["code"] == "PROVIDER_OUTCOME_UNKNOWN"
        if metric(service, "payments_provider_circuit_state") == 2:
            return
    raise AssertionError("the circuit does not open")


def made(simulator: Simulator) -> int:
    return len(simulator.ledger()["links"])


async def test_while_the_provider_is_down_a_new_payment_leaves_no_trace(
    service: Harness, simulator: Simulator
) -> None:
    await bring_down(service, simulator)
    simulator.clear_faults()
    before, links = await rows(service), made(simulator)
    held_back = metric(service, "payments_provider_calls_total", outcome="held_back")

    responses = [await service.request("POST", "/v1/payments", order()) for _ in range(5)]

    for response in responses:
        assert (response.status_code, response.json()["code"]) == (503, "PROVIDER_UNAVAILABLE")
        assert response.json()["retryable"] is True
        longest = OPEN_SECONDS * (1 + JITTER)
        assert 1 <= int(response.headers["retry-after"]) <= longest + 1
    assert (await rows(service), made(simulator)) == (before, links)
    assert metric(service, "payments_provider_calls_total", outcome="held_back") == held_back + 5


async def test_retry_after_counts_down(
    service: Harness, simulator: Simulator, time: Ticking
) -> None:
    await bring_down(service, simulator)

    first = await service.request("POST", "/v1/payments", order())
    time.advance(2)
    second = await service.request("POST", "/v1/payments", order())

    assert int(first.headers["retry-after"]) - int(second.headers["retry-after"]) == 2


async def test_what_was_answered_is_answered_again_while_the_provider_is_down(
    service: Harness, simulator: Simulator
) -> None:
    body = order()
    first = await service.request("POST", "/v1/payments", body, key="known")
    await bring_down(service, simulator)

    replay = await service.request("POST", "/v1/payments", body, key="known")
    other = await service.request("POST", "/v1/payments", order(), key="known")

    assert (replay.content, replay.headers["idempotent-replayed"]) == (first.content, "true")
    assert other.json()["code"] == "IDEMPOTENCY_KEY_REUSED"


async def test_a_link_that_was_made_is_found_while_the_provider_is_down(
    service: Harness, simulator: Simulator, time: Ticking
) -> None:
    body = order()
    simulator.fault("status", status=429, retry_after=1, method="GET")
    simulator.fault("broken_after", **CREATE)  # made, and neither told nor found
    await service.request("POST", "/v1/payments", body, key="lost")
    (reference,) = [str(code) for code, link in simulator.ledger()["links"].items()
                    if link["status"] == "PENDING"][-1:]  # fmt: skip
    simulator.pay(reference)
    await bring_down(service, simulator)
    time.advance(1)

    resumed = await service.request("POST", "/v1/payments", body, key="lost")

    assert resumed.status_code == 201, resumed.text
    assert resumed.json()["status"] == "paid"


async def test_a_resumed_request_is_held_back_and_finishes_with_its_own_order_code(
    service: Harness, simulator: Simulator, time: Ticking
) -> None:
    body = order()
    simulator.fault("status", status=500, **CREATE)
    simulator.fault("status", status=500, **CREATE)  # and once more, after the question
    await service.request("POST", "/v1/payments", body, key="mine")
    await bring_down(service, simulator)
    before = await rows(service)

    held_back = await service.request("POST", "/v1/payments", body, key="mine")

    assert (held_back.status_code, held_back.json()["code"]) == (503, "PROVIDER_OUTCOME_UNKNOWN")
    assert await rows(service) == before
    simulator.clear_faults()
    time.advance(OPEN_SECONDS_MAX)
    finished = await service.request("POST", "/v1/payments", body, key="mine")
    assert finished.status_code == 201, finished.text
    assert await rows(service) == before | {
        "outbox_events": before["outbox_events"] + 1,
        "audit_log": before["audit_log"] + 1,
    }


async def test_webhooks_reads_and_cancels_go_on_while_creates_are_held_back(
    service: Harness, simulator: Simulator
) -> None:
    paid, canceled = await service.create(), await service.create()
    await bring_down(service, simulator)

    simulator.pay(paid["provider_reference"])
    told = await service.deliver(simulator.webhook(paid["provider_reference"]))
    path = f"/v1/payments/{canceled['payment_id']}/cancel"
    cancel = await service.request("POST", path)

    assert (told.status_code, cancel.status_code) == (200, 200)
    assert (await service.get(paid["payment_id"]))["status"] == "paid"
    assert (await service.get(canceled["payment_id"]))["status"] == "failed"


async def test_recovery_lets_out_one_probe_at_a_time_and_then_everybody(
    service: Harness, simulator: Simulator, time: Ticking, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bring_down(service, simulator)
    simulator.clear_faults()
    time.advance(OPEN_SECONDS_MAX)
    before, links = await rows(service), made(simulator)
    others_answered = asyncio.Event()
    send = Connections._send

    async def send_late(*arguments: Any) -> object:
        await others_answered.wait()
        return await send(*arguments)

    monkeypatch.setattr(Connections, "_send", send_late)
    answers: list[httpx.Response] = []

    async def create() -> httpx.Response:
        answers.append(await service.request("POST", "/v1/payments", order()))
        if len(answers) == 29:
            others_answered.set()
        return answers[-1]

    crowd = await asyncio.gather(*(create() for _ in range(30)))

    statuses = [response.status_code for response in crowd]
    assert (statuses.count(201), statuses.count(503)) == (1, 29)
    after = await rows(service)
    assert after["payment_attempts"] == before["payment_attempts"] + 1
    assert made(simulator) == links + 1
    assert metric(service, "payments_provider_circuit_state") == 1
    for _ in range(SUCCESSES_TO_CLOSE - 1):
        await service.create()
    assert metric(service, "payments_provider_circuit_state") == 0
    crowd = await asyncio.gather(
        *(service.request("POST", "/v1/payments", order()) for _ in range(30))
    )
    assert {response.status_code for response in crowd} == {201}


async def test_a_probe_that_fails_keeps_it_away_for_longer(
    service: Harness, simulator: Simulator, time: Ticking
) -> None:
    await bring_down(service, simulator)
    time.advance(OPEN_SECONDS_MAX)

    probe = await service.request("POST", "/v1/payments", order())
    refused = await service.request("POST", "/v1/payments", order())

    assert probe.json()["code"] == "PROVIDER_OUTCOME_UNKNOWN"
    assert refused.json()["code"] == "PROVIDER_UNAVAILABLE"
    assert int(refused.headers["retry-after"]) >= 2 * OPEN_SECONDS * (1 - JITTER)


async def test_a_request_for_a_pause_is_passed_on(
    service: Harness, simulator: Simulator, time: Ticking
) -> None:
    simulator.fault("status", status=429, retry_after=30, **CREATE)
    await service.request("POST", "/v1/payments", order())
    before = await rows(service)

    refused = await service.request("POST", "/v1/payments", order())

    assert (refused.json()["code"], refused.headers["retry-after"]) == (
        "PROVIDER_UNAVAILABLE",
        "30",
    )
    assert await rows(service) == before
    time.advance(30)
    assert (await service.create())["status"] == "pending"
    assert metric(service, "payments_provider_circuit_state") == 0


async def test_a_lost_link_that_cannot_be_asked_for_is_not_called_unsent(
    service: Harness, simulator: Simulator
) -> None:
    simulator.fault("status", status=429, retry_after=60, method="GET")
    simulator.fault("broken_after", **CREATE)
    body = order()
    first = await service.request("POST", "/v1/payments", body, key="lost")

    second = await service.request("POST", "/v1/payments", body, key="lost")

    assert first.json()["code"] == second.json()["code"] == "PROVIDER_OUTCOME_UNKNOWN"
    assert second.headers["retry-after"] == "60"


async def test_requests_and_jobs_ask_nobody_when_their_time_is_up(
    service: Harness, monkeypatch: pytest.MonkeyPatch, tries: list[str]
) -> None:
    payment = await service.create()
    monkeypatch.setattr(api_payments, "REQUEST_SECONDS", 0.0)
    monkeypatch.setattr(scheduler, "ITEM_SECONDS", 0.0)
    tries.clear()

    create = await service.request("POST", "/v1/payments", order())
    cancel = await service.request("POST", f"/v1/payments/{payment['payment_id']}/cancel")
    await service.advance(31)  # both are due to be asked about

    for response in (create, cancel):
        assert (response.status_code, response.json()["code"]) == (503, "PROVIDER_UNAVAILABLE")
    assert tries == []


async def test_a_long_outage_is_not_amplified(
    service: Harness, simulator: Simulator, time: Ticking, tries: list[str]
) -> None:
    simulator.fault("status", status=500, times=100_000)
    requests = 300  # five minutes, one a second

    for _ in range(requests):
        response = await service.request("POST", "/v1/payments", order())
        assert response.status_code == 503
        time.advance(1)

    assert CALLS_MIN < len(tries) <= 0.2 * requests
    assert (await rows(service))["payment_attempts"] <= 0.1 * requests
