"""The auditor in production: what changed every minute, everything daily, in bounded steps."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from payment_service import cli
from payment_service.storage import invariants
from payment_service.workers import auditor
from payment_service.workers.auditor import Auditor
from tests.support.service import Harness

RULE = "received is not the receipts, plus what moved in, minus what moved out"
DAMAGE = "UPDATE payments SET amount_received = amount_received + 1 WHERE id = '{}'"
REPAIR = "UPDATE payments SET amount_received = amount_received - 1 WHERE id = '{}'"


async def execute(service: Harness, statement: str) -> None:
    async with service.service.database.engine.begin() as connection:
        await connection.exec_driver_sql(statement)


@asynccontextmanager
async def damaged(service: Harness, payment_id: str) -> AsyncIterator[None]:
    await execute(service, DAMAGE.format(payment_id))
    yield
    await execute(service, REPAIR.format(payment_id))


def violations(service: Harness, rule: str = RULE) -> float | None:
    return service.service.metrics.registry.get_sample_value(
        "payments_audit_violations", {"invariant": rule}
    )


def completed(service: Harness) -> float | None:
    return service.service.metrics.registry.get_sample_value(
        "payments_audit_completed_timestamp_seconds"
    )


async def run_out(auditing: Auditor) -> int:
    """Let an auditor work until it rests; return how many payments it looked at."""
    seen = 0
    while (step := await auditing.run_once()) is not None:
        seen += step
    return seen


@pytest.fixture
def auditing(service: Harness) -> Auditor:
    shared = service.service
    return Auditor(shared.database, shared.clock, shared.metrics)


async def test_damage_is_told_by_log_and_metric_and_taken_back(
    service: Harness, auditing: Auditor, capsys: pytest.CaptureFixture[str]
) -> None:
    payment_id = (await service.create())["payment_id"]

    async with damaged(service, payment_id):
        await run_out(auditing)
        seen = violations(service)
    service.clock.advance(auditor.CHANGED_EVERY)
    await run_out(auditing)

    assert (seen, violations(service)) == (1, 0)
    told = [line for line in capsys.readouterr().out.splitlines() if "audit.violation" in line]
    assert len(told) == 1
    assert payment_id in told[0]
    assert RULE in told[0]


async def test_change_is_audited_within_a_minute(service: Harness, auditing: Auditor) -> None:
    await run_out(auditing)
    payment_id = (await service.create())["payment_id"]

    async with damaged(service, payment_id):
        service.clock.advance(auditor.CHANGED_EVERY - timedelta(seconds=1))
        early = await run_out(auditing)
        service.clock.advance(timedelta(seconds=1))
        seen = await run_out(auditing)
        assert violations(service) == 1

    assert (early, seen) == (0, 1)


async def test_old_damage_is_found_within_a_day_and_stays_in_view(
    service: Harness, auditing: Auditor
) -> None:
    payment_id = (await service.create(expires_in_seconds=86400))["payment_id"]
    await run_out(auditing)
    await service.advance(3600)
    await run_out(auditing)

    async with damaged(service, payment_id):
        service.clock.advance(auditor.CHANGED_EVERY)
        await run_out(auditing)
        unseen = violations(service)  # nothing has changed, and everything was audited today
        await service.advance(23 * 3600)
        await run_out(auditing)
        found = violations(service)
        service.clock.advance(2 * auditor.OVERLAP)
        await run_out(auditing)
        kept = violations(service)
    service.clock.advance(auditor.CHANGED_EVERY)
    await run_out(auditing)

    assert (unseen, found, kept, violations(service)) == (0, 1, 1, 0)


async def test_everything_is_audited_in_bounded_chunks(
    service: Harness, auditing: Auditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invariants, "CHUNK_MAX", 2)
    made = [(await service.create())["payment_id"] for _ in range(5)]
    await run_out(auditing)
    before = completed(service)
    await service.advance(auditor.ALL_EVERY.total_seconds())
    now = service.clock()
    await auditing.run_once()  # what waits and what has changed

    steps = [await auditing.run_once() for _ in range(3)]

    assert steps == [2, 2, 1]
    assert (completed(service) or 0) >= now.timestamp() > (before or 0) > 0
    for payment_id in (made[0], made[-1]):
        async with damaged(service, payment_id):
            assert (RULE, payment_id) in await service.violations()


async def test_many_changes_are_audited_in_several_steps(
    service: Harness, auditing: Auditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invariants, "CHUNK_MAX", 2)
    monkeypatch.setattr(auditor, "CHUNKS_MAX", 1)
    made = [(await service.create())["payment_id"] for _ in range(5)]

    async with damaged(service, made[-1]):
        steps = [await auditing.run_once() for _ in range(3)]
        assert violations(service) == 1

    assert steps == [2, 2, 1]


async def test_command_names_the_broken_rule_and_the_row(
    service: Harness, capsys: pytest.CaptureFixture[str]
) -> None:
    payment_id = (await service.create())["payment_id"]
    options = cli.parser().parse_args(["audit"])

    healthy = await options.run(service.service, options)
    async with damaged(service, payment_id):
        broken = await options.run(service.service, options)

    assert (healthy, broken) == (0, 1)
    assert f"{RULE}  {payment_id}" in capsys.readouterr().out
