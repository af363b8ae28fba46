"""What waits is measured in every process, and a job that nobody does any more is noticed."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from payment_service.bootstrap import VERSION, Service
from payment_service.domain.errors import StorageUnavailable
from payment_service.storage import invariants, outbox
from payment_service.telemetry import tracing
from payment_service.telemetry.metrics import JOBS, Metrics
from payment_service.workers.scheduler import HOUSEKEEPING_EVERY, LEASE
from tests.integration.test_auditor import RULE, damaged
from tests.support.death import death_at
from tests.support.odd_money import OddMoney
from tests.support.service import Harness, order
from tests.support.simulator import Simulator

Read = Callable[..., float]


def reader(metrics: Metrics) -> Read:
    def read(name: str, **labels: str) -> float:
        value = metrics.registry.get_sample_value(name, labels)
        assert value is not None, f"there is no series {name} {labels}"
        return value

    return read


@pytest.fixture
def shown(service: Harness) -> Read:
    """Read a series."""
    return reader(service.service.metrics)


def other_process(service: Harness) -> Service:
    """Make what another process on the same database would share."""
    metrics = Metrics(version=VERSION, invariants=tuple(invariants.QUERIES))
    return replace(service.service, metrics=metrics, name="other")


async def test_a_creation_without_an_answer_is_seen_though_no_scheduler_works(
    service: Harness, shown: Read
) -> None:
    with death_at("provider.create:after"):
        await service.request("POST", "/v1/payments", order())

    service.clock.advance(timedelta(minutes=20))
    await service.service.observer().run_once()

    assert 1200 <= shown("payments_creations_oldest_age_seconds") < 1300
    await service.settle()
    await service.service.observer().run_once()
    assert shown("payments_creations_oldest_age_seconds") == 0


async def test_a_payment_that_nobody_looks_at_is_seen(service: Harness, shown: Read) -> None:
    await service.create()
    await service.settle()

    service.clock.advance(timedelta(hours=1))
    await service.service.observer().run_once()

    assert 3500 <= shown("payments_checks_oldest_age_seconds") <= 3600
    await service.settle()
    await service.service.observer().run_once()
    assert shown("payments_checks_oldest_age_seconds") == 0


async def test_a_refund_that_is_not_paid_out_is_seen(
    service: Harness, simulator: Simulator, shown: Read
) -> None:
    payment = await service.create()
    simulator.pay(payment["provider_reference"])
    await service.deliver(simulator.webhook(payment["provider_reference"]))
    simulator.modes(wallet=0)
    body = {"amount": 1000, "reason": "other", "destination": {"type": "source"}}
    await service.request("POST", f"/v1/payments/{payment['payment_id']}/refunds", body)

    await service.advance(7200)
    await service.service.observer().run_once()

    assert shown("payments_refunds_waiting") == 1
    assert 7200 <= shown("payments_refunds_oldest_age_seconds") < 7300
    simulator.modes(wallet=10_000)
    for _ in range(2):  # it is sent, then asked about
        await service.advance(7200)
    await service.service.observer().run_once()
    assert shown("payments_refunds_waiting") == shown("payments_refunds_oldest_age_seconds") == 0


async def test_money_that_waits_for_a_decision_is_seen(desk: OddMoney, shown: Read) -> None:
    await desk.expired(1000)

    desk.service.clock.advance(timedelta(hours=2))
    await desk.service.service.observer().run_once()

    assert shown("payments_exceptions_open") == 1
    assert shown("payments_exceptions_oldest_age_seconds") >= 7200


async def test_every_job_tells_when_it_was_last_got_through(service: Harness, shown: Read) -> None:
    assert {shown("payments_job_completed_timestamp_seconds", task=job) for job in JOBS} == {0}
    began = service.clock().timestamp()

    await service.settle()

    for job in JOBS:
        assert began < shown("payments_job_completed_timestamp_seconds", task=job)


async def test_housekeeping_that_fails_is_not_called_done(
    service: Harness, shown: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    await service.settle()
    before = {job: shown("payments_job_completed_timestamp_seconds", task=job) for job in JOBS}

    async def fail(*_: Any, **__: Any) -> int:
        raise StorageUnavailable

    with monkeypatch.context() as broken:
        broken.setattr(outbox, "purge", fail)
        service.clock.advance(HOUSEKEEPING_EVERY)
        with pytest.raises(StorageUnavailable):
            await service.step()

    after = {job: shown("payments_job_completed_timestamp_seconds", task=job) for job in JOBS}
    stalled = {job for job in JOBS if after[job] == before[job]}
    assert stalled == {"housekeeping", "audit"}


async def test_who_is_no_longer_active_shows_no_violations(service: Harness) -> None:
    """Else the alert would go on until that process is restarted."""
    first, second = service.service, other_process(service)
    (old, new) = (first.scheduler(), second.scheduler())
    payment_id = (await service.create())["payment_id"]

    def violations(of: Service) -> float:
        return reader(of.metrics)("payments_audit_violations", invariant=RULE)

    async with damaged(service, payment_id):
        await old.run_once()
        assert (violations(first), violations(second)) == (1, 0)
        service.clock.advance(2 * LEASE)
        await new.run_once()
        await old.run_once()
        assert (violations(first), violations(second)) == (0, 1)


async def test_a_job_that_fails_is_an_error_in_its_trace(
    service: Harness, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    await service.create()
    simulator.fault("status", times=10)
    monkeypatch.setattr(tracing, "TRACER", provider.get_tracer("test"))

    with suppress(StorageUnavailable):
        await service.advance(60)

    failed = {
        (span.name, span.attributes.get("error.type"))
        for span in exporter.get_finished_spans()
        if not span.status.is_ok
    }
    assert failed == {("job payments", "ProviderFailing")}
