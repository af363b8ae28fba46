"""The auditor's rules: each finds what SQL has damaged, and a healthy database breaks none."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from secrets import token_hex
from typing import Any

import pytest
from sqlalchemy import text

from payment_service.storage import invariants
from payment_service.storage.database import Database, Session
from payment_service.storage.models import Base
from tests.support.odd_money import OddMoney
from tests.support.service import KEYRING, Harness, environment, running_service
from tests.support.simulator import Simulator

ACCOUNT = {"type": "bank_account", "bank_bin": "970422", "account_number": "0123456789"}
OLD = "'2026-01-01 00:00:00'"

RECEIVED = "received is not the receipts, plus what moved in, minus what moved out"
APPLIED = "applied is not what receipts and moves applied, minus what moves released"
MOVED = "an exception was applied and no money moved, or the other way round"
NOBODYS = "nobody's money, and no operator was asked, or more of it moved than came"

# The rule, and what breaks it; :name is the id of that payment of the world.
PLANTS = [
    ("refunds exceed what was received",
     "UPDATE payments SET amount_reserved = amount_received + 1 WHERE id = :paid"),
    ("refunds exceed what was received",
     "UPDATE payments SET amount_refunded = -1 WHERE id = :paid"),
    (RECEIVED,
     "UPDATE payments SET amount_received = amount_received + 1 WHERE id = :paid"),
    (RECEIVED, "DELETE FROM receipts WHERE payment_id = :late"),
    (APPLIED,
     "UPDATE payments SET amount_applied = amount_applied - 1 WHERE id = :paid"),
    (RECEIVED, "UPDATE reallocations SET amount = amount - 1 WHERE to_payment_id = :target"),
    (RECEIVED, "UPDATE reallocations SET amount = amount - 1 WHERE from_payment_id = :moved"),
    (APPLIED, "UPDATE reallocations SET amount_applied = 1 WHERE to_payment_id = :target"),
    (APPLIED, "UPDATE reallocations SET amount_released = 1 WHERE from_payment_id = :moved"),
    ("more of a transfer moved out of a payment than came to it",
     "UPDATE reallocations SET amount = 101 WHERE from_payment_id = :moved"),
    ("refunded is not the sum of the succeeded refunds",
     "UPDATE payments SET amount_refunded = amount_refunded - 1 WHERE id = :refunded"),
    ("reserved is not the sum of the pending refunds",
     "UPDATE refunds SET status = 'failed' WHERE payment_id = :reserved"),
    ("an amount is not positive", "UPDATE refunds SET amount = -1 WHERE payment_id = :refunded"),
    ("an amount is not positive", "UPDATE receipts SET amount = 0 WHERE payment_id = :paid"),
    ("an amount is not positive", "UPDATE payments SET amount = 0 WHERE id = :pending"),
    ("money of another currency", "UPDATE receipts SET currency = 'USD' WHERE payment_id = :paid"),
    ("money of another currency",
     "UPDATE refunds SET currency = 'USD' WHERE payment_id = :refunded"),
    ("a transfer is recorded twice",
     f"UPDATE receipts SET bank_reference = 'FT1', occurred_at = {OLD} WHERE payment_id = :twice"),
    ("a receipt is not of a link of its payment",
     "UPDATE receipts SET order_code = order_code + 1 WHERE payment_id = :paid"),
    ("odd money that nobody was asked about",
     "DELETE FROM money_exceptions WHERE payment_id = :late"),
    ("odd money that nobody was asked about",
     "DELETE FROM money_exceptions WHERE payment_id = :twice"),
    ("a returned refund that nobody was asked about",
     "DELETE FROM money_exceptions WHERE payment_id = :returned"),
    ("a question about money is closed without an answer",
     "UPDATE money_exceptions SET resolved_at = raised_at WHERE payment_id = :late"),
    ("odd money that nobody was asked about",
     "DELETE FROM money_exceptions WHERE payment_id = :short"),
    (MOVED, "UPDATE money_exceptions SET resolution = 'kept' WHERE payment_id = :moved"),
    (MOVED, "UPDATE money_exceptions SET resolution_amount = 1 WHERE payment_id = :moved"),
    (MOVED, "DELETE FROM reallocations WHERE from_payment_id = :moved"),
    ("an exception was refunded by a refund that is none, or failed",
     "UPDATE refunds SET status = 'failed' WHERE payment_id = :decided"),
    ("an exception was refunded by a refund that is none, or failed",
     "UPDATE money_exceptions SET resolution = 'kept' WHERE payment_id = :decided"),
    (NOBODYS, "DELETE FROM money_exceptions WHERE code = 'unmatched'"),
    (NOBODYS, "UPDATE reallocations SET amount = 101 WHERE from_payment_id IS NULL"),
    ("settled without the money, or the money without being settled",
     "UPDATE payments SET status = 'paid' WHERE id = :pending"),
    ("settled without the money, or the money without being settled",
     "UPDATE payments SET status = 'expired' WHERE id = :paid"),
    ("the status does not say what was refunded",
     "UPDATE payments SET status = 'refunded' WHERE id = :paid"),
    ("the status does not say what was refunded",
     "UPDATE payments SET status = 'partially_refunded' WHERE id = :paid"),
    ("the status does not say what was refunded",
     "UPDATE payments SET status = 'paid' WHERE id = :refunded"),
    ("a status without its time or its reason",
     "UPDATE payments SET closed_at = NULL WHERE id = :late"),
    ("a status without its time or its reason",
     "UPDATE payments SET paid_at = NULL WHERE id = :paid"),
    ("a status without its time or its reason",
     "UPDATE payments SET failure_reason = NULL WHERE id = :canceled"),
    ("a status without its time or its reason",
     "UPDATE refunds SET next_check_at = NULL WHERE payment_id = :reserved"),
    ("a refund of another tenant",
     "UPDATE refunds SET tenant_id = 'other' WHERE payment_id = :refunded"),
    ("closed with an open link",
     "UPDATE payment_attempts SET state = 'open' WHERE payment_id = :late"),
    ("pending without one live link",
     "UPDATE payment_attempts SET state = 'closed' WHERE payment_id = :pending"),
    ("pending without one live link",
     "UPDATE payment_attempts SET payment_id = :pending, state = 'opening'"
     " WHERE payment_id = :canceled"),
    ("an order code that is used twice or that we did not make",
     "UPDATE payment_attempts SET order_code = 123 WHERE payment_id = :pending"),
    ("an order code that is used twice or that we did not make",
     "UPDATE payment_attempts SET order_code = 9000000000000"
     " WHERE payment_id IN (:pending, :late)"),
    ("the version is not the number of audit entries",
     "DELETE FROM audit_log WHERE payment_id = :paid AND version = 1"),
    ("the version is not the number of audit entries",
     "UPDATE audit_log SET version = 1 WHERE payment_id = :paid"),
    ("the version is not the number of audit entries",
     "UPDATE payments SET version = version + 1 WHERE id = :paid"),
    ("the status is not what the audit log comes to",
     "UPDATE payments SET status = 'expired' WHERE id = :late"),
    ("the audit log has a break",
     "UPDATE audit_log SET to_status = 'expired' WHERE payment_id = :paid AND version = 1"),
    ("a change of status that is not allowed",
     "UPDATE audit_log SET from_status = 'expired' WHERE payment_id = :paid AND version = 2"),
    ("a change without its event",
     "DELETE FROM outbox_events WHERE message_key = :refunded AND status = 'published'"),
    ("a change without its event",
     "UPDATE outbox_events SET message_key = :pending WHERE message_key = :paid"),
    ("pending and not looked at",
     f"UPDATE payments SET next_check_at = {OLD} WHERE id = :pending"),
    ("pending and not looked at",
     "UPDATE payments SET next_check_at = NULL WHERE id = :pending"),
    ("closed, to be watched, and not looked at",
     f"UPDATE payments SET next_check_at = {OLD} WHERE id = :late"),
    ("a pending refund is not looked at",
     f"UPDATE refunds SET next_check_at = {OLD} WHERE payment_id = :reserved"),
    ("a refund, to be watched, and not looked at",
     f"UPDATE refunds SET next_check_at = {OLD} WHERE payment_id = :refunded"),
    ("a webhook is not applied",
     f"UPDATE webhook_events SET status = 'received', next_check_at = {OLD}"
     " WHERE payment_id = :paid"),
    ("a request has died and nobody went on",
     f"UPDATE idempotency_keys SET state = 'in_progress', next_check_at = {OLD}"
     " WHERE resource_id = :paid"),
    ("a message is not published",
     f"UPDATE outbox_events SET status = 'pending', created_at = {OLD} WHERE message_key = :paid"),
    ("a message is not published",
     "UPDATE outbox_events SET status = 'refused' WHERE message_key = :paid"),
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class World:
    """A database with a payment of every kind, which accepts damage."""

    url: str
    ids: dict[str, str]  # of the payments
    now: datetime


@pytest.fixture(scope="module", params=["sqlite", pytest.param("mysql", marks=pytest.mark.stack)])
def world(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    shared_simulator: Simulator,
) -> Iterator[World]:
    if request.param == "sqlite":
        url = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('world')}/payments.db"
        yield asyncio.run(build(url, shared_simulator))
        return
    server = request.getfixturevalue("mysql_server")
    name = f"test_{token_hex(8)}"
    yield asyncio.run(build(server.create_database(name), shared_simulator))
    server.drop_database(name)


async def build(url: str, simulator: Simulator) -> World:
    """Let the service make payments of every kind; then take the tables' constraints away."""
    async with running_service(environment(url, simulator.environment)) as harness:
        ids = await live(harness, simulator)
        async with harness.service.database.engine.begin() as connection:
            for table in reversed(Base.metadata.sorted_tables):
                for statement in (
                    f"CREATE TABLE loose AS SELECT * FROM {table.name}",
                    f"DROP TABLE {table.name}",
                    f"ALTER TABLE loose RENAME TO {table.name}",
                ):
                    await connection.exec_driver_sql(statement)
        return World(url, ids, harness.clock())


async def live(harness: Harness, simulator: Simulator) -> dict[str, str]:
    """Lead one payment to each state of interest; return their ids."""
    names = ("pending", "paid", "late", "twice", "canceled", "refunded", "reserved", "returned",
             "short", "moved", "decided")  # fmt: skip
    made = {name: await harness.create(100, expires_in_seconds=3600) for name in names}
    for name in ("paid", "twice", "refunded", "reserved", "returned"):
        await pay(harness, simulator, made[name])
    await pay(harness, simulator, made["twice"])
    await pay(harness, simulator, made["pending"], 40)
    await harness.request("POST", f"/v1/payments/{made['canceled']['payment_id']}/cancel")
    await harness.request("POST", f"/v1/payments/{made['late']['payment_id']}/cancel")
    await pay(harness, simulator, made["late"])
    made["target"] = await decide(OddMoney(harness, simulator), made)
    await refund(harness, made["refunded"], 40)
    returned = await refund(harness, made["returned"], 100)
    await harness.advance(10)
    simulator.settle(f"{returned}-1", "REVERSED")
    await harness.advance(7 * 3600)
    simulator.modes(auto_payouts=False)
    await refund(harness, made["reserved"], 60)
    await harness.settle()
    simulator.modes(auto_payouts=True)
    # The deadline has passed meanwhile, so this one is made anew.
    made["pending"] = await harness.create(100, expires_in_seconds=3600)
    await pay(harness, simulator, made["pending"], 40)
    return {name: payment["payment_id"] for name, payment in made.items()}


async def decide(desk: OddMoney, made: dict[str, Any]) -> dict[str, Any]:
    """Decide about odd money in every way; return the payment that got what was nobody's."""
    await desk.pay(made["short"], 40)
    for name in ("short", "moved", "decided"):
        await desk.service.request("POST", f"/v1/payments/{made[name]['payment_id']}/cancel")
    for name in ("moved", "decided"):
        await desk.pay(made[name], 100)
    order = made["moved"]["order_reference"]
    fresh = await desk.service.create(60, order_reference=order)
    await desk.resolve(await desk.exception(made["moved"]), "apply", payment_id=fresh["payment_id"])
    await desk.resolve(await desk.exception(made["decided"]), "refund")
    await desk.unmatched()
    target = await desk.service.create(60)
    await desk.apply_unmatched(target)
    return target


async def pay(
    harness: Harness, simulator: Simulator, payment: dict[str, str], amount: int = 100
) -> None:
    simulator.pay(payment["provider_reference"], amount)
    await harness.deliver(simulator.webhook(payment["provider_reference"]))


async def refund(harness: Harness, payment: dict[str, str], amount: int) -> str:
    path = f"/v1/payments/{payment['payment_id']}/refunds"
    body = {"amount": amount, "reason": "other", "destination": ACCOUNT}
    response = await harness.request("POST", path, body)
    assert response.status_code == 201, response.text
    await harness.settle()
    return str(response.json()["refund_id"])


class Undo(Exception):
    """Raised by a unit of work so that the damage does not stay."""


async def find(database: Database, world: World, damage: str | None) -> list[tuple[str, str]]:
    """Do damage, look for violations, and undo it."""
    found: list[tuple[str, str]] = []

    async def work(session: Session) -> None:
        if damage is not None:
            names = {name: value for name, value in world.ids.items() if f":{name}" in damage}
            done = await session.execute(text(damage), names)
            assert done.rowcount > 0, "the damage was not done"
        found.extend(await invariants.find_violations(session, now=world.now))
        raise Undo

    with pytest.raises(Undo):
        await database.transact("test", work)
    return found


@pytest.fixture
async def database(world: World) -> AsyncIterator[Database]:
    async with Database.open(world.url, keyring=KEYRING) as opened:
        yield opened


async def test_healthy_database_breaks_no_rule(database: Database, world: World) -> None:
    assert await find(database, world, None) == []


@pytest.mark.parametrize(("rule", "damage"), PLANTS, ids=[f"{n}" for n in range(len(PLANTS))])
async def test_damage_is_found_by_its_rule(
    database: Database, world: World, rule: str, damage: str
) -> None:
    found = await find(database, world, damage)

    assert rule in {broken for broken, _ in found}


def test_every_rule_has_a_test() -> None:
    assert {rule for rule, _ in PLANTS} == set(invariants.QUERIES)


async def test_nothing_is_found_while_much_happens_at_once(
    service: Harness, simulator: Simulator
) -> None:
    async def one(number: int) -> None:
        payment = await service.create(100)
        for _ in range(number % 3):
            simulator.pay(payment["provider_reference"], 60)
            webhook = simulator.webhook(payment["provider_reference"])
            await service.http.post("/v1/webhooks/payos", json=webhook)
        if number % 3 == 0:
            await service.request("POST", f"/v1/payments/{payment['payment_id']}/cancel")

    working = asyncio.gather(*(one(number) for number in range(12)))
    found = []
    while not working.done():
        await service.settle()
        found += await service.violations()
    await working

    assert found == []
