"""Who sees what and waits for whom: one suite for all databases and the simulation's store.

Each test is something that the service relies on; so the simulation cannot lie.
"""

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from payment_service.domain.errors import ConcurrentUpdate, NotFound, StorageUnavailable
from payment_service.domain.idempotency import IdempotentRequest, StoredResponse
from payment_service.storage import idempotency, outbox, payments, refunds, webhooks
from payment_service.storage.database import Database, Session
from payment_service.storage.faults import is_duplicate
from payment_service.storage.models import (
    AuditEntry,
    Lease,
    Payment,
    Receipt,
    Refund,
    WebhookEvent,
)
from tests.contract.storage.rows import (
    NOW,
    SECOND,
    Meeting,
    attempt,
    payment,
    read,
    together,
    write,
)


async def test_uncommitted_change_is_seen_by_its_writer_only(database: Database) -> None:
    await write(database, payment())
    seen = []

    async def work(session: Session) -> None:
        row = await payments.lock_payment(session, "pay_1")
        row.amount_received = 7
        await session.flush()
        mine = select(Payment.amount_received).where(Payment.id == "pay_1")
        seen.append(await session.scalar(mine))
        seen.append((await read(database)).amount_received)

    await database.transact("test", work)

    assert seen == [7, 0]
    assert (await read(database)).amount_received == 7


async def test_failed_unit_leaves_nothing_behind(database: Database) -> None:
    async def work(session: Session) -> None:
        await payments.add(session, payment())
        await payments.add(session, attempt(1))
        raise ValueError("undo me")

    with pytest.raises(ValueError, match="undo me"):
        await database.transact("test", work)

    with pytest.raises(NotFound):
        await read(database)
    await write(database, payment(), attempt(1))  # its keys are free again


async def test_locked_row_is_waited_for_and_read_anew(database: Database) -> None:
    await write(database, payment())

    async def count(session: Session) -> None:
        row = await payments.lock_payment(session, "pay_1")
        before = row.version
        await session.execute(select(func.count()).select_from(Payment))
        row.version = before + 1

    results = await together(database, *[count] * 8)

    assert results == [None] * 8
    assert (await read(database)).version == 8


async def test_unlocked_read_modify_write_loses_updates(two_writers: Database) -> None:
    """The store must be as bad as the real thing, or it would hide a missing lock."""
    await write(two_writers, payment())
    meeting = Meeting()

    async def count(session: Session, me: str, other: str) -> None:
        row = await session.get(Payment, "pay_1")
        assert row is not None
        meeting.reach(me)
        await meeting.wait(other)
        row.version += 1

    await together(two_writers, lambda s: count(s, "a", "b"), lambda s: count(s, "b", "a"))

    assert (await read(two_writers)).version == 1


async def test_payment_and_links_are_read_anew_when_they_are_held(two_writers: Database) -> None:
    first = attempt(1)
    await write(two_writers, payment(), first)
    seen = []

    async def change(session: Session) -> None:
        row, link = await payments.lock_with_link(session, "pay_1")
        row.amount_received, link.state = 7, payments.ATTEMPT_CLOSED

    async def work(session: Session) -> None:
        known = await payments.find_attempt_by_order_code(session, first.order_code)
        assert known is not None
        await two_writers.transact("test", change)
        row, link = await payments.lock_with_link(session, "pay_1")
        assert link is known
        seen.append((row.amount_received, known.state))

    await two_writers.transact("test", work)

    assert seen == [(7, payments.ATTEMPT_CLOSED)]


async def test_guarded_update_is_judged_on_the_latest_row(database: Database) -> None:
    await write(database, payment(amount_received=100, amount_applied=100, status="paid"))

    results = await together(database, *[lambda s: refunds.reserve(s, "pay_1", 60)] * 5)

    assert sorted(results) == [False] * 4 + [True]
    assert (await read(database)).amount_reserved == 60


async def test_rule_of_the_table_refuses_what_code_let_through(database: Database) -> None:
    await write(database, payment(amount_received=100, amount_applied=100, status="paid"))

    async def overdraw(session: Session) -> None:
        await session.execute(
            update(Payment).where(Payment.id == "pay_1").values(amount_reserved=101)
        )

    with pytest.raises((DBAPIError, StorageUnavailable)):
        await database.transact("test", overdraw)

    assert (await read(database)).amount_reserved == 0


@pytest.mark.parametrize(
    "statement",
    [
        insert(Lease).values(name="x", owner=None, fence=1, expires_at=NOW),
        insert(AuditEntry).values(payment_id="none", at=NOW, actor="job", action="a", version=1),
    ],
    ids=["a value is missing", "a parent is missing"],
)
async def test_row_that_does_not_fit_is_refused(database: Database, statement: Any) -> None:
    with pytest.raises((DBAPIError, StorageUnavailable)):
        await database.transact("test", lambda session: session.execute(statement))


async def test_naive_time_is_refused(database: Database) -> None:
    naive = payment(created_at=NOW.replace(tzinfo=None))

    with pytest.raises(Exception, match="naive datetime"):
        await database.transact("test", lambda session: payments.add(session, naive))


async def test_taken_key_is_told_as_a_duplicate_with_its_name(database: Database) -> None:
    await write(database, payment(), attempt(1))
    told: list[bool] = []

    async def again(session: Session) -> None:
        session.add(attempt(2))
        try:
            await session.flush()
        except IntegrityError as error:
            told.extend([is_duplicate(error, "live_payment_id"), is_duplicate(error, "qr_token")])
            raise

    with pytest.raises(IntegrityError):
        await database.transact("test", again)

    assert told == [True, False]


async def test_one_link_of_a_payment_lives_at_a_time(database: Database) -> None:
    await write(database, payment(), attempt(1))

    async def replace_link(session: Session) -> None:
        row = await payments.get_latest_attempt(session, "pay_1")
        row.state = payments.ATTEMPT_CLOSED
        await session.flush()
        await payments.add(session, attempt(2))

    with pytest.raises(ConcurrentUpdate):
        await database.transact("test", lambda session: payments.add(session, attempt(2)))
    await database.transact("test", replace_link)

    latest = await database.read(lambda session: payments.get_latest_attempt(session, "pay_1"))
    assert latest.number == 2


async def test_key_that_another_is_about_to_take_is_waited_for(two_writers: Database) -> None:
    meeting = Meeting()
    order: list[str] = []

    async def first(session: Session) -> None:
        await payments.add(session, payment())
        meeting.reach("inserted")
        await meeting.wait("second goes on")
        order.append("first")

    async def second(session: Session) -> None:
        await meeting.wait("inserted")
        meeting.reach("second goes on")
        await payments.add(session, payment())
        order.append("second")

    results = await together(two_writers, first, second)

    assert results[0] is None
    assert isinstance(results[1], ConcurrentUpdate)
    assert order == ["first"]


async def test_lock_that_never_comes_free_ends_in_an_error(two_writers: Database) -> None:
    await write(two_writers, payment())
    held, done = asyncio.Event(), asyncio.Event()

    async def hold(session: Session) -> None:
        await payments.lock_payment(session, "pay_1")
        held.set()
        await done.wait()

    async def want(session: Session) -> None:
        await held.wait()
        try:
            await payments.lock_payment(session, "pay_1")
        except DBAPIError as error:
            done.set()
            number = error.orig.args[0] if error.orig else None
            raise ValueError(number) from error

    results = await together(two_writers, hold, want)

    assert results[0] is None
    assert isinstance(results[1], ValueError)
    assert results[1].args == (1205,)


async def test_circle_of_waiting_has_one_victim_that_is_repeated(two_writers: Database) -> None:
    await write(two_writers, payment("pay_1"), payment("pay_2"))
    meeting = Meeting()

    async def cross(session: Session, mine: str, other: str) -> None:
        one = await payments.lock_payment(session, mine)
        meeting.reach(mine)
        await meeting.wait(other)
        two = await payments.lock_payment(session, other)
        one.version += 1
        two.version += 1

    results = await together(
        two_writers,
        lambda session: cross(session, "pay_1", "pay_2"),
        lambda session: cross(session, "pay_2", "pay_1"),
    )

    assert results == [None, None]
    assert ((await read(two_writers)).version, (await read(two_writers, "pay_2")).version) == (2, 2)


async def test_numbers_grow_and_are_never_given_twice(database: Database) -> None:
    async def add(session: Session, name: str) -> None:
        message = outbox.NewMessage(topic="t", message_key="k", message_id=name,
                                    payload=b"\x00\xff", headers={"h": "1"}, at=NOW)  # fmt: skip
        await outbox.add(session, message)

    async def undone(session: Session) -> None:
        await add(session, "undone")
        raise ValueError

    await database.transact("test", lambda session: add(session, "m1"))
    with pytest.raises(ValueError):  # noqa: PT011  # it is ours, two lines up
        await database.transact("test", undone)
    await database.transact("test", lambda session: add(session, "m2"))
    rows = await database.read(lambda s: outbox.list_pending(s, range(outbox.SHARDS), limit=9))

    assert [(row.message_id, row.payload, row.headers) for row in rows] == [
        ("m1", b"\x00\xff", {"h": "1"}),
        ("m2", b"\x00\xff", {"h": "1"}),
    ]
    assert rows[0].id < rows[1].id


async def test_claim_is_completed_by_its_last_owner_only(database: Database) -> None:
    asked = IdempotentRequest(tenant_id="t", key="k", operation="createPayment", fingerprint="f")

    async def claim(at: datetime) -> Any:
        return await database.transact(
            "test", lambda session: idempotency.claim(session, asked, resource_id="r", now=at)
        )

    first = await claim(NOW)
    second = await claim(NOW + 60 * SECOND)
    answer = StoredResponse(201, {"h": "v"}, b"\xffbytes")
    late = await together(
        database,
        lambda session: idempotency.complete(session, first, answer, now=NOW),
        lambda session: idempotency.complete(
            session, second, replace(answer, status=202), now=NOW
        ),
    )  # fmt: skip
    kept = await claim(NOW + 60 * SECOND)

    assert [type(result).__name__ for result in late] == ["IdempotencyInProgress", "NoneType"]
    assert kept == replace(answer, status=202)


async def test_webhook_is_stored_once_by_many_at_a_time(database: Database) -> None:
    async def store(session: Session, name: str) -> bool:
        return (await webhooks.add(session, _webhook(name, "event")))["event"] == name

    results = await together(
        database, *(lambda session, n=n: store(session, f"whk_{n}") for n in range(6))
    )

    assert sorted(results) == [False] * 5 + [True]


def _webhook(name: str, event: str) -> webhooks.NewWebhook:
    return webhooks.NewWebhook(
        id=name, provider="fake", event_id=event, schema_version="v1",
        payload=b"{}", status=webhooks.RECEIVED, received_at=NOW, next_check_at=NOW,
    )  # fmt: skip


@pytest.mark.parametrize("known", [(), (0,), (12,), (17,), (0, 13, 17, 18), tuple(range(19))])
async def test_webhooks_are_stored_around_those_that_are_known(
    database: Database, known: tuple[int, ...]
) -> None:
    events = [f"event-{number:02d}" for number in range(19)]  # more than one statement takes
    there = [_webhook(f"old_{number}", events[number]) for number in known]
    await database.transact("test", lambda session: webhooks.add(session, *there))

    new = [_webhook(f"new_{number}", event) for number, event in enumerate(events)]
    told = await database.transact("test", lambda session: webhooks.add(session, *new))

    query = select(WebhookEvent.event_id, WebhookEvent.id)
    rows = await database.read(lambda session: session.execute(query))
    assert told == dict(rows.all())
    assert told == {
        event: f"old_{number}" if number in known else f"new_{number}"
        for number, event in enumerate(events)
    }


async def test_transfer_is_one_receipt_by_all_that_names_it(database: Database) -> None:
    def receipt(name: str, *, amount: int) -> Receipt:
        return Receipt(
            id=name, provider="fake", order_code=1, provider_reference="l", bank_reference="b",
            amount=amount, amount_applied=0, currency="VND", disposition="unmatched",
            occurred_at=NOW, recorded_at=NOW,
        )  # fmt: skip

    await write(database, receipt("rcp_1", amount=5), receipt("rcp_2", amount=6))

    with pytest.raises(ConcurrentUpdate):
        await write(database, receipt("rcp_3", amount=5))


async def test_refund_reference_is_free_for_many_without_one(database: Database) -> None:
    def refund(name: str, reference: str | None) -> Refund:
        return Refund(
            id=name, payment_id="pay_1", tenant_id="shop", amount=1, currency="VND", reason="other",
            reference=reference, destination_type="source", bank_bin="970422",
            account_number="1", created_at=NOW, updated_at=NOW, next_check_at=NOW, checks=0,
        )  # fmt: skip

    await write(database, payment(), refund("r1", None), refund("r2", None), refund("r3", "x"))

    with pytest.raises(ConcurrentUpdate):
        await write(database, refund("r4", "x"))
    due = await database.read(lambda session: refunds.list_due(session, now=NOW, limit=9))
    assert sorted(due) == ["r1", "r2", "r3"]
