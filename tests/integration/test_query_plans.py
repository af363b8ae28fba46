"""Every statement of the hot paths finds its rows by an index, however many there are.

MySQL is asked for its plan of each. Small tables, as here, it likes to read whole all the same: so
what counts is whether it knows an index that leads to the rows.
"""

import json
import logging
from typing import Any

import pytest

from payment_service.storage import outbox
from tests.support.odd_money import ACCOUNT, OddMoney
from tests.support.service import Harness
from tests.support.statements import watched

pytestmark = [
    pytest.mark.stack,
    pytest.mark.parametrize("database_url", ["mysql"], indirect=True),
]

HISTORY, BACKLOG = 100_000, 10_000  # messages that have left, and that wait
SMALL = frozenset({"leases", "alembic_version"})  # some dozens of rows, for ever


async def journey(service: Harness, desk: OddMoney) -> None:
    """Do everything that the API and the workers do while payments come and go."""
    payment = await desk.paid(100)
    path = f"/v1/payments/{payment['payment_id']}"
    body = {"amount": 40, "reason": "requested_by_customer", "destination": ACCOUNT}
    await service.request("POST", f"{path}/refunds", body)
    await service.settle()
    await service.advance(60)
    for each in (path, f"{path}/refunds", f"{path}/timeline"):
        assert (await service.request("GET", each)).status_code == 200
    filters = ("", "?status=paid", "?order_reference=x", "?created_from=2026-01-01T00:00:00Z")
    for each in filters:
        assert (await service.request("GET", f"/v1/payments{each}")).status_code == 200
    await desk.expired(50, late=70)
    await desk.returned()
    cancelled = await service.create()
    await service.request("POST", f"/v1/payments/{cancelled['payment_id']}/cancel", {})
    await service.advance(3600)


def tables_without_index(plan: Any) -> list[str]:
    """Name the tables of a plan (EXPLAIN FORMAT=JSON) that can only be read from end to end."""
    if isinstance(plan, list):
        return [name for each in plan for name in tables_without_index(each)]
    if not isinstance(plan, dict):
        return []
    found = [name for each in plan.values() for name in tables_without_index(each)]
    if plan.get("access_type") in {"ALL", "index"} and "possible_keys" not in plan:
        found.append(plan["table_name"])
    return [name for name in found if not name.startswith("<")]  # what MySQL makes for itself


async def test_no_statement_of_the_hot_paths_reads_a_whole_table(
    service: Harness, desk: OddMoney, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, logger="asyncmy")  # as the service has it: notes hold values
    with watched() as sent:
        await journey(service, desk)
    statements = dict(sent.statements)  # one each, with the last parameters
    found: list[tuple[str, str]] = []
    async with service.service.database.engine.connect() as connection:
        for statement, parameters in statements.items():
            if statement.split()[0] not in {"SELECT", "UPDATE", "DELETE"}:
                continue
            explain = f"EXPLAIN FORMAT=JSON {statement}"
            plan = (await connection.exec_driver_sql(explain, parameters)).scalar_one()
            found += [
                (table, statement)
                for table in tables_without_index(json.loads(plan))
                if table not in SMALL
            ]

    assert len(statements) > 50
    assert found == []


async def test_a_relay_that_was_away_does_not_read_what_has_left_long_ago(service: Harness) -> None:
    database = service.service.database
    async with database.engine.begin() as connection:
        for first, count, status in ((1, HISTORY, "published"), (HISTORY, BACKLOG, "pending")):
            await connection.exec_driver_sql(_messages(first, count, status))
        await connection.exec_driver_sql("ANALYZE TABLE outbox_events")

    with watched() as sent:
        await database.read(lambda session: outbox.list_pending(session, range(16), limit=500))

    ((statement, parameters),) = sent.statements
    async with database.engine.connect() as connection:
        explained = await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
        plan = explained.mappings().first()

    assert plan is not None
    assert (plan["table"], plan["key"]) == ("outbox_events", "ix_outbox_events_status_id_shard")


def _messages(first: int, count: int, status: str) -> str:
    """Write a statement that makes messages of that status, numbered from `first` on."""
    digits = " UNION ALL ".join(f"SELECT {digit} AS d" for digit in range(10))
    tables = ", ".join(f"({digits}) AS t{place}" for place in range(6))
    number = " + ".join(f"t{place}.d * {10**place}" for place in range(6))
    return (
        "INSERT INTO outbox_events (shard, topic, message_key, message_id, payload, headers,"
        " status, attempts, created_at)"
        f" SELECT MOD(n, 16), 't', CONCAT('pay_', n), CONCAT('{status}_', n), REPEAT('x', 500),"
        f" '{{}}', '{status}', 0, NOW(6)"
        f" FROM (SELECT {first} + {number} AS n FROM {tables}) AS numbers"
        f" WHERE n < {first + count} ORDER BY n"
    )
