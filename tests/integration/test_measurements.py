"""Metrics tell of committed work, each time it happened, and of what waits though nobody works."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from payment_service.domain.facts import KeyUsed
from payment_service.messaging import topics
from payment_service.storage.database import Database, Repeat, Session, tell
from payment_service.telemetry.metrics import Metrics
from payment_service.workers.observer import Observer
from tests.support.service import Harness, order
from tests.support.simulator import Simulator

SOURCE = Path(__file__).parents[2] / "src/payment_service"
Moved = Callable[..., float]


@pytest.fixture
def moved(service: Harness) -> Moved:
    """Tell by how much a series has grown since the test began."""
    registry = service.service.metrics.registry

    def read(name: str, **labels: str) -> float:
        value = registry.get_sample_value(name, labels)
        assert value is not None, f"there is no series {name} {labels}"
        return value

    return read


async def paid(service: Harness, simulator: Simulator, amount: int = 45_000) -> dict[str, Any]:
    payment = await service.create(amount)
    simulator.pay(payment["provider_reference"])
    await service.deliver(simulator.webhook(payment["provider_reference"]))
    return payment


async def refund(service: Harness, payment: dict[str, Any], amount: int) -> httpx.Response:
    body = {"amount": amount, "reason": "other", "destination": {"type": "source"}}
    path = f"/v1/payments/{payment['payment_id']}/refunds"
    answer = await service.request("POST", path, body)
    await service.settle()
    await service.advance(10)
    return answer


async def test_a_journey_moves_each_count_once(
    service: Harness, simulator: Simulator, moved: Moved
) -> None:
    payment = await paid(service, simulator)
    await refund(service, payment, 20_000)

    def edge(source: str, target: str) -> float:
        return moved("payments_transitions_total", from_status=source, to_status=target)

    assert [edge("none", "pending"), edge("pending", "paid")] == [1, 1]
    assert edge("paid", "partially_refunded") == 1
    assert moved("payments_money_received_minor_units_total", currency="VND") == 45_000
    assert moved("payments_money_refunded_minor_units_total", currency="VND") == 20_000
    assert moved("payments_refunds_total", state="pending") == 1
    assert moved("payments_refunds_total", state="succeeded") == 1
    assert moved("payments_webhooks_total", provider="payos", outcome="received") == 1
    assert moved("payments_webhooks_total", provider="payos", outcome="applied") == 1
    assert moved("payments_webhook_delay_seconds_count") == 1
    assert moved("payments_idempotency_total", outcome="executed") == 2
    assert moved("payments_http_requests_total", operation="createPayment", status="2xx") == 1
    assert moved("payments_contract_checks_total", verdict="fast") > 0
    assert moved("payments_job_duration_seconds_count", task="refunds") >= 1
    assert moved("payments_messages_published_total", topic="payments.events.v1") == 5


async def test_a_webhook_that_comes_again_moves_no_money_count(
    service: Harness, simulator: Simulator, moved: Moved
) -> None:
    payment = await paid(service, simulator)
    webhook = simulator.webhook(payment["provider_reference"])

    await service.deliver(webhook)
    for row in list(service.published.published):
        if row.topic == topics.WEBHOOKS:  # the broker delivers it once more
            await service.service.consumer().handle(row)

    assert moved("payments_webhooks_total", provider="payos", outcome="duplicate") == 1
    assert moved("payments_webhooks_total", provider="payos", outcome="applied") == 1
    assert moved("payments_money_received_minor_units_total", currency="VND") == 45_000


async def test_what_is_repeated_or_rolled_back_is_told_once_or_never(tmp_path: Path) -> None:
    told: list[Any] = []
    tries = 0

    async def third_time_lucky(session: Session) -> None:
        nonlocal tries
        tries += 1
        tell(session, KeyUsed("executed"))
        if tries < 3:
            raise Repeat

    async def fail(session: Session) -> None:
        tell(session, KeyUsed("executed"))
        raise LookupError

    url = f"sqlite+aiosqlite:///{tmp_path}/facts.db"
    async with Database.open(url, on_commit=told.append) as database:
        await database.transact("test.lucky", third_time_lucky)
        with pytest.raises(LookupError):
            await database.transact("test.fail", fail)

    assert told == [KeyUsed("executed")]


async def test_each_use_of_a_key_is_counted_by_what_became_of_it(
    service: Harness, moved: Moved
) -> None:
    body = order()
    for _ in range(2):
        assert (await service.request("POST", "/v1/payments", body, key="k-000001")).is_success
    other = await service.request("POST", "/v1/payments", order(), key="k-000001")

    assert other.status_code == 422
    outcomes = ("executed", "replayed", "reused", "resumed", "in_progress")
    counts = [moved("payments_idempotency_total", outcome=outcome) for outcome in outcomes]
    assert counts == [1, 1, 1, 0, 0]


async def test_requests_that_no_operation_answers_are_counted(
    service: Harness, moved: Moved
) -> None:
    await service.request("GET", "/v1/nothing")
    await service.request("DELETE", "/v1/payments")

    assert moved("payments_http_requests_total", operation="unmatched", status="4xx") == 2


async def test_an_error_that_nobody_expected_is_counted_where_it_was_met(
    service: Harness, moved: Moved, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise ZeroDivisionError

    database = service.service.database
    with monkeypatch.context() as broken:
        broken.setattr(database, "read", fail)
        answer = await service.request("GET", "/v1/payments")

    assert answer.status_code == 500
    assert moved("payments_unhandled_errors_total", component="api") == 1


async def test_what_waits_is_measured_though_no_worker_runs(
    service: Harness, simulator: Simulator, moved: Moved
) -> None:
    payment = await service.create()
    await service.settle()
    simulator.pay(payment["provider_reference"])
    webhook = simulator.webhook(payment["provider_reference"])
    await service.http.post("/v1/webhooks/payos", json=webhook)

    service.clock.advance(timedelta(seconds=20))
    await service.service.observer().run_once()

    assert moved("payments_outbox_pending") == moved("payments_webhooks_waiting") == 1
    assert 20 <= moved("payments_outbox_oldest_age_seconds") < 60
    assert 20 <= moved("payments_webhooks_oldest_age_seconds") < 60
    await service.settle()
    await service.service.observer().run_once()
    assert moved("payments_outbox_pending") == moved("payments_outbox_oldest_age_seconds") == 0
    assert moved("payments_webhooks_waiting") == moved("payments_webhooks_oldest_age_seconds") == 0


async def test_the_age_of_what_waits_goes_on_while_the_database_is_away(
    service: Harness, moved: Moved, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness, observer = service, service.service.observer()
    await harness.create()
    await observer.run_once()

    async def away(*_: Any) -> None:
        raise ConnectionError

    with monkeypatch.context() as broken:
        broken.setattr(harness.service.database, "read", away)
        harness.clock.advance(timedelta(seconds=90))
        with pytest.raises(ConnectionError):
            await observer.run_once()

    assert moved("payments_outbox_oldest_age_seconds") >= 90
    assert isinstance(observer, Observer)


async def test_a_webhook_that_is_given_up_counts_and_stays_in_view(
    service: Harness, simulator: Simulator, moved: Moved
) -> None:
    payment, other = await service.create(), await service.create()
    for each in (payment, other):
        simulator.pay(each["provider_reference"])
    webhook = simulator.webhook(payment["provider_reference"])
    misled = simulator.webhook(other["provider_reference"])["data"]["paymentLinkId"]

    await service.deliver(simulator_signed(webhook | {}, paymentLinkId=misled))
    await service.service.observer().run_once()

    assert moved("payments_dead_letters_total") == moved("payments_webhooks_dead") == 1
    assert moved("payments_webhooks_total", provider="payos", outcome="dead") == 1
    await service.deliver(webhook)
    await service.deliver(simulator.webhook(other["provider_reference"]))


def simulator_signed(webhook: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Change a webhook's data and sign it anew, as only payOS could."""
    from payment_service.providers.payos.signature import sign_data  # noqa: PLC0415

    data = webhook["data"] | changes
    return webhook | {"data": data, "signature": sign_data(data, "test-checksum-key")}


async def test_the_use_of_the_pools_is_shown(service: Harness, moved: Moved) -> None:
    async def look(_session: Session) -> float:
        await _session.connection()
        return moved("payments_database_connections", door="write", state="used")

    assert await service.service.database.transact("test.look", look) == 1
    assert moved("payments_database_connections", door="write", state="used") == 0
    assert moved("payments_database_connections_max") > 0


def test_no_metric_of_the_catalogue_is_forgotten() -> None:
    """Every metric is set by somebody: a series that never moves is a lie."""
    texts = [path.read_text() for path in SOURCE.rglob("*.py") if path.name != "metrics.py"]
    names = [name for name in vars(Metrics(version="1")) if not name.startswith("_")]

    unset = [
        name for name in names
        if name not in {"registry", "build_info"}
        and not any(f"metrics.{name}" in text for text in texts)
    ]  # fmt: skip

    assert unset == []
