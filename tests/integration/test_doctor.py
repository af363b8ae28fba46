"""`doctor` finds what is wrong, says what to do, and moves nothing."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from payment_service.bootstrap import Service
from payment_service.cli import parser
from payment_service.domain.clock import OffsetClock, system_clock
from payment_service.messaging.kafka import open_kafka
from payment_service.messaging.topics import Topic
from payment_service.storage import migrate
from payment_service.storage.inspection import APPEND_ONLY, RIGHTS
from tests.support.process import free_port
from tests.support.revisions import move_ahead
from tests.support.service import Harness, environment, running_service
from tests.support.simulator import Simulator, running
from tests.support.stripe_simulator import StripeSimulator

DOCUMENT = Path(__file__).parents[2] / "docs/database.md"
CHECKS = {"settings", "database", "clock", "schema", "broker", "provider", "webhook"}


async def examine(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """Run the command; return its exit code and the findings by check."""
    options = parser().parse_args(["doctor", "--json"])
    capsys.readouterr()
    code = await options.run(service, options)
    findings: dict[str, list[dict[str, Any]]] = {}
    written = capsys.readouterr().out
    for finding in json.loads(written[written.index("[\n") :]):  # log lines may stand before it
        findings.setdefault(finding["check"], []).append(finding)
    return code, findings


def at(service: Service, url: str) -> Service:
    """A service at an address of its own, that looks at the world's clock: as a doctor does."""
    settings = replace(service.settings, public_url=url)
    return replace(service, settings=settings, clock=system_clock)


@pytest.fixture
async def healthy(service: Harness) -> AsyncIterator[Service]:
    """A service whose public address answers."""
    with running(service.service.api()) as url:
        yield at(service.service, url)


def wrong(findings: dict[str, list[dict[str, Any]]]) -> set[str]:
    return {name for name, found in findings.items() if any(f["state"] == "WRONG" for f in found)}


async def test_all_is_fine(healthy: Service, capsys: pytest.CaptureFixture[str]) -> None:
    code, findings = await examine(healthy, capsys)

    assert (code, wrong(findings)) == (0, set()), findings
    assert set(findings) == CHECKS


async def test_all_is_fine_with_another_provider(
    stripe: StripeSimulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/payments.db"
    async with running_service(environment(url, stripe.environment)) as harness:
        with running(harness.service.api()) as public_url:
            code, findings = await examine(at(harness.service, public_url), capsys)

    assert (code, wrong(findings)) == (0, set()), findings
    assert findings["webhook"][0]["detail"].startswith(f"{public_url}/v1/webhooks/stripe")
    assert {finding["state"] for finding in findings["provider"]} == {"fine"}


async def test_it_moves_nothing(
    healthy: Service, service: Harness, simulator: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    before = simulator.ledger() | {"now": None, "payout_signatures": None}
    await examine(healthy, capsys)

    assert simulator.ledger() | {"now": None, "payout_signatures": None} == before
    assert list(service.published.published) == []


@pytest.mark.parametrize("kind", ["nobody", "stranger"])
async def test_a_webhook_address_that_is_not_ours_is_found(
    service: Harness, simulator: Simulator, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url = simulator.base_url if kind == "stranger" else f"http://127.0.0.1:{free_port()}"

    code, findings = await examine(at(service.service, url), capsys)

    assert (code, wrong(findings)) == (1, {"webhook"})
    (finding,) = findings["webhook"]
    assert ("not our API" if kind == "stranger" else "cannot be reached") in finding["detail"]
    assert "PAYMENTS_PUBLIC_URL" in finding["advice"]


async def test_clocks_that_disagree_are_found(
    healthy: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    fast = OffsetClock()
    fast.advance(timedelta(seconds=30))

    code, findings = await examine(replace(healthy, clock=fast), capsys)

    assert (code, wrong(findings)) == (1, {"clock"})
    assert "apart" in findings["clock"][0]["detail"]


async def test_a_database_that_is_behind_is_found(
    healthy: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    await migrate.downgrade(healthy.database, "base")

    try:
        code, findings = await examine(healthy, capsys)
    finally:
        await migrate.upgrade(healthy.database)

    assert code == 1
    assert "schema" in wrong(findings)
    assert findings["schema"][0]["advice"] == "run payment-service migrate"


async def test_a_database_that_is_ahead_is_told_of_and_nothing_is_wrong(
    healthy: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    await move_ahead(healthy.database)

    try:
        code, findings = await examine(healthy, capsys)
    finally:
        await move_ahead(healthy.database, back=True)

    assert (code, wrong(findings)) == (0, set())
    assert [finding["state"] for finding in findings["schema"]] == ["hint"]


async def test_a_provider_that_refuses_us_is_found_and_the_rest_is_told_all_the_same(
    healthy: Service, simulator: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    simulator.fault("status_before", status=401, times=9)

    code, findings = await examine(healthy, capsys)

    assert (code, wrong(findings)) == (1, {"provider"})
    assert set(findings) == CHECKS
    assert "credentials" in findings["provider"][0]["advice"]


def test_the_rights_are_those_of_the_document() -> None:
    grants = re.findall(
        r"^GRANT (.+) ON payments\.(\w+) TO 'payments_app'", DOCUMENT.read_text(), re.MULTILINE
    )
    documented = {table: frozenset(rights.split(", ")) for rights, table in grants}

    assert documented.pop("alembic_version") == {"SELECT"}
    assert documented == dict(RIGHTS)
    assert {table for table, rights in documented.items() if "UPDATE" not in rights} == set(
        APPEND_ONLY
    )


@pytest.mark.stack
async def test_rights_that_are_missing_or_too_many_are_found(
    mysql_server: Any,
) -> None:
    from payment_service.storage.database import Database  # noqa: PLC0415
    from payment_service.storage.inspection import inspect  # noqa: PLC0415

    name, user = f"test_{token_hex(8)}", f"u_{token_hex(6)}"
    owner = mysql_server.create_database(name)
    async with Database.open(owner) as database:
        await migrate.upgrade(database)
    mysql_server.query(f"CREATE USER '{user}'@'127.0.0.1' IDENTIFIED BY 'secret'")
    for table, rights in RIGHTS.items():
        given = rights | {"UPDATE"} if table == "receipts" else rights - {"DELETE"}
        mysql_server.query(
            f"GRANT {', '.join(sorted(given))} ON {name}.{table} TO '{user}'@'127.0.0.1'"
        )
    async with Database.open(mysql_server.url(user, "secret", name)) as database:
        seen = await database.transact("test.inspect", inspect)
    mysql_server.query(f"DROP USER '{user}'@'127.0.0.1'")
    mysql_server.drop_database(name)

    assert set(seen.faults) == {
        f"no right to DELETE on {table}"
        for table in ("outbox_events", "idempotency_keys", "leases")
    }
    assert "may UPDATE on receipts, which is append-only" in seen.hints
    assert not any("audit_log" in hint for hint in seen.hints)


@pytest.mark.stack
async def test_topics_that_are_missing_small_or_forgetful_are_found(kafka_server: Any) -> None:
    name = f"doctor.{token_hex(6)}"
    server = f"kafka://127.0.0.1:{kafka_server.port}"
    short, long = (Topic(name, timedelta(days=days)) for days in (1, 7))
    async with open_kafka(f"{server}?partitions=1", client_id="d", topics=[short]) as broker:
        assert await broker.find_faults() == [f"{name} is missing"]
        await broker.ensure_topics()
        assert await broker.find_faults() == []
    async with open_kafka(f"{server}?partitions=6", client_id="d", topics=[long]) as broker:
        assert await broker.find_faults() == [
            f"{name} has 1 of our 6 partitions", f"{name} forgets after 24 hours, not 7 days",
        ]  # fmt: skip
