"""What must be true when a schedule has come to rest: three ledgers agree to the dong.

The bank's, the service's and the log of the topic; and the service's own invariants, as the very
SQL that `payment-service audit` runs, over a copy of the store in SQLite.
"""

import json
import re
import sqlite3
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import create_engine

from payment_service.domain.idempotency import StoredResponse
from payment_service.messaging import topics
from payment_service.providers.provider import PayoutState
from payment_service.storage import invariants
from payment_service.storage.models import Base
from tests.simulation.bank import PAID_OUT
from tests.simulation.store.expressions import Row
from tests.simulation.store.session import Result
from tests.simulation.world import World

Fault = Callable[[str], None]


def judge(world: World, answers: dict[str, list[StoredResponse]]) -> None:
    """Report every broken promise to the world."""
    tables = {
        name: [row for _, row in table.rows(None)] for name, table in world.store.tables.items()
    }
    fault = world.fault
    _check_receipts(world, tables, fault)
    _check_refunds(world, tables, fault)
    _check_links(world, tables, fault)
    _check_events(world, tables, fault)
    _check_answers(tables, answers, fault)
    for rule, row in broken_invariants(tables, world.bank.now()):
        fault(f"{rule}: {row}")


def _check_receipts(world: World, tables: dict[str, list[Row]], fault: Fault) -> None:
    """Every transfer is one receipt, and every receipt is a transfer."""
    owner = {row["order_code"]: row["payment_id"] for row in tables["payment_attempts"]}
    happened = [each for link in world.bank.links.values() for each in link.transfers]
    told = sorted(
        (each.provider_reference, each.bank_reference, each.money.amount, each.occurred_at,
         owner.get(each.order_code) or "")
        for each in [*happened, *world.bank.foreign]
    )  # fmt: skip
    recorded = sorted(
        (row["provider_reference"], row["bank_reference"], row["amount"], row["occurred_at"],
         row["payment_id"] or "")
        for row in tables["receipts"]
    )  # fmt: skip
    if told != recorded:
        lost = [each for each in told if each not in recorded]
        invented = [each for each in recorded if each not in told]
        fault(f"the bank and the receipts differ: lost {lost}, invented {invented}")


def _check_refunds(world: World, tables: dict[str, list[Row]], fault: Fault) -> None:
    """A refund says what became of its payouts, of which at most one paid."""
    payouts: defaultdict[str, list[Any]] = defaultdict(list)
    for payout in world.bank.payouts.values():
        payouts[payout.reference.rpartition("-")[0]].append(payout)
    for refund in tables["refunds"]:
        mine = payouts.pop(refund["id"], [])
        paid = sum(each.amount for each in mine if each.state in PAID_OUT)
        owed = refund["amount"] if refund["status"] == "succeeded" else 0
        if paid != owed:
            fault(f"refund {refund['id']} is {refund['status']}, and {paid} left the bank")
        if sum(each.state in PAID_OUT or each.state is PayoutState.RETURNED for each in mine) > 1:
            fault(f"refund {refund['id']} was paid out twice")
    if payouts:
        fault(f"payouts without a refund: {sorted(payouts)}")


def _check_links(world: World, tables: dict[str, list[Row]], fault: Fault) -> None:
    """Every link at the bank is on record; a refused payment has none but replaced ones."""
    # By number: codes are made of the time, and clocks go back.
    attempts = sorted(tables["payment_attempts"], key=lambda row: int(row["number"]))
    known = {row["order_code"]: row["payment_id"] for row in attempts}
    latest = {row["payment_id"]: row["order_code"] for row in attempts}
    payments = {row["id"]: row for row in tables["payments"]}
    for code, link in world.bank.links.items():
        if code not in known:
            fault(f"link {code} is on nobody's record")
        elif payments[known[code]]["failure_reason"] == "rejected" and latest[known[code]] == code:
            fault(f"link {link.reference} exists, and its payment was called refused")


def _check_events(world: World, tables: dict[str, list[Row]], fault: Fault) -> None:
    """The topic tells every change of a payment: in order, without gaps, as the outbox has it."""
    outbox = {row["message_id"]: row for row in tables["outbox_events"]}
    for row in outbox.values():
        if row["status"] != "published":
            fault(f"message {row['message_id']} is {row['status']}")
    seen: dict[str, None] = {}
    sequences: defaultdict[str, list[int]] = defaultdict(list)
    for partition in world.broker.partitions(topics.EVENTS):
        for message in partition:
            name = message.headers["message-id"]
            if name not in outbox or outbox[name]["payload"] != message.value:
                fault(f"message {name} is not the one of the outbox")
            if name not in seen:
                seen[name] = None
                event = msgspec.json.decode(message.value)
                sequences[event["subject"]].append(event["data"]["sequence"])
    for payment in tables["payments"]:
        expected = list(range(1, payment["version"] + 1))
        if sequences[payment["id"]] != expected:
            fault(f"events of {payment['id']}: {sequences[payment['id']]}, not {expected}")


def _check_answers(
    tables: dict[str, list[Row]], answers: dict[str, list[StoredResponse]], fault: Fault
) -> None:
    """The answer that is kept under a key is the one that was given."""
    for row in tables["idempotency_keys"]:
        given = answers.get(row["key"])
        if given and (row["response_status"], row["response_body"]) != (
            given[0].status,
            given[0].body,
        ):
            fault(f"the answer under {row['key']} is not the one that was given")


def broken_invariants(tables: dict[str, list[Row]], now: datetime) -> list[tuple[str, str]]:
    """Run `storage.invariants` over a copy of the rows in SQLite."""
    connection = _empty_copy()
    reader: Any = _Reader(connection)
    try:
        for name, rows in tables.items():
            columns = _columns(name)
            connection.executemany(
                _insertion(name), ([_stored(row[column]) for column in columns] for row in rows)
            )
        payments = [row["id"] for row in tables["payments"]]
        found: list[tuple[str, str]] = _run(invariants.audit_queues(reader, now=now))
        for start in range(0, len(payments), invariants.CHUNK_MAX):
            chunk = payments[start : start + invariants.CHUNK_MAX]
            found += _run(invariants.audit_payments(reader, chunk, now=now))
        return found
    finally:
        connection.rollback()


class _Reader:
    """As much of a session as the invariants need: SQL as text, without the price of compiling."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def execute(self, statement: Any) -> Any:
        sql, values = statement.text, {}
        for name, parameter in statement._bindparams.items():
            if parameter.expanding:
                places = [f":{name}_{number}" for number in range(len(parameter.value))]
                sql = re.sub(rf":{name}\b", f"({', '.join(places)})", sql)
                values |= zip((each[1:] for each in places), parameter.value, strict=True)
            else:
                values[name] = _stored(parameter.value)
        return Result(self._connection.execute(sql, values).fetchall(), -1)


def _run(work: Any) -> Any:
    """Run a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waited")


@cache
def _empty_copy() -> sqlite3.Connection:
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    connection = engine.raw_connection().driver_connection
    assert isinstance(connection, sqlite3.Connection)
    connection.commit()
    return connection


@cache
def _columns(table: str) -> list[str]:
    return [each.name for each in Base.metadata.tables[table].columns if each.computed is None]


@cache
def _insertion(table: str) -> str:
    columns = _columns(table)
    names = ", ".join(f'"{name}"' for name in columns)
    return f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(columns))})"


def _stored(value: Any) -> Any:
    """Write a value as SQLAlchemy writes it into SQLite."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
    return json.dumps(value) if isinstance(value, dict) else value
