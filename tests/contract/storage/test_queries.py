"""What is read, and how: one suite for all databases and the simulation's store.

Each test is something that the service relies on; so the simulation cannot lie.
"""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from payment_service.domain.payment import PaymentStatus
from payment_service.domain.refund import RefundStatus
from payment_service.storage import guarded, idempotency, leases, payments, refunds
from payment_service.storage.database import Database, Session
from payment_service.storage.models import (
    AuditEntry,
    IdempotencyKey,
    OutboxEvent,
    Payment,
)
from tests.contract.storage.rows import NOW, SECOND, payment, read, write


async def test_row_comes_back_as_it_was_written(database: Database) -> None:
    await write(database, payment(description="chữ Việt", payment_metadata={"k": "v"}))

    row = await read(database)

    assert (row.description, row.payment_metadata) == ("chữ Việt", {"k": "v"})
    assert (row.created_at, row.expires_at) == (NOW, NOW + 900 * SECOND)
    assert (row.paid_at, row.failure_reason, type(row.status)) == (None, None, str)


async def test_defaults_and_computed_columns_are_filled_in(database: Database) -> None:
    await write(database, payment())

    live = await database.read(lambda s: payments.find_live_by_order(s, "shop", "order-pay_1"))
    await database.transact("test", lambda s: set_status(s, "expired"))
    ended = await database.read(lambda s: payments.find_live_by_order(s, "shop", "order-pay_1"))

    assert live is not None
    assert ended is None


async def set_status(session: Session, status: str) -> None:
    row = await payments.lock_payment(session, "pay_1")
    row.status = status


async def test_guarded_change_counts_the_row_that_it_found(database: Database) -> None:
    await write(database, payment(description="as it is"))

    async def change(name: str, status: str) -> bool:
        statement = (
            update(Payment)
            .where(Payment.id == name, Payment.status == status)
            .values(description="as it is")
            .execution_options(synchronize_session=False)
        )
        return await database.transact("test", lambda s: guarded.change_one(s, statement))

    assert await change("pay_1", "pending")  # though nothing becomes another
    assert not await change("pay_1", "paid")
    assert not await change("pay_2", "pending")


async def test_flush_before_a_query_shows_what_was_added(database: Database) -> None:
    await write(database, payment())

    async def work(session: Session) -> int:
        session.add(AuditEntry(payment_id="pay_1", at=NOW, actor="job", action="a", version=1))
        query = select(func.count()).select_from(AuditEntry)
        return int((await session.execute(query)).scalar_one())

    assert await database.transact("test", work) == 1


async def test_refresh_and_repopulate_take_the_database_s_word(database: Database) -> None:
    await write(database, payment(amount_received=100, amount_applied=100, status="paid"))

    async def work(session: Session) -> list[int]:
        row = await payments.lock_payment(session, "pay_1")
        await refunds.reserve(session, "pay_1", 10)
        stale = row.amount_reserved
        await session.refresh(row)
        fresh = row.amount_reserved
        await refunds.reserve(session, "pay_1", 10)
        again = await payments.lock_payment(session, "pay_1")
        assert again is row
        return [stale, fresh, row.amount_reserved]

    assert await database.transact("test", work) == [0, 10, 20]


async def test_lists_are_ordered_filtered_and_cut(database: Database) -> None:
    for number in range(5):
        await write(
            database,
            payment(f"pay_{number}", created_at=NOW + number % 2 * SECOND,
                    next_check_at=NOW - number * SECOND),
        )  # fmt: skip

    async def listed(session: Session) -> Any:
        page = await payments.list_payments(session, "shop", limit=3, before=None)
        rest = await payments.list_payments(
            session, "shop", limit=9, before=(page[-1].created_at, page[-1].id)
        )
        paid = await payments.list_payments(
            session, "shop", limit=9, before=None, status=PaymentStatus.PAID
        )
        return [row.id for row in page], [row.id for row in rest], list(paid)

    assert await database.read(listed) == (["pay_3", "pay_1", "pay_4"], ["pay_2", "pay_0"], [])


async def test_sums_and_minima_of_nothing_are_null(database: Database) -> None:
    nothing = await database.read(
        lambda session: session.execute(
            select(func.count(), func.min(OutboxEvent.created_at), func.sum(OutboxEvent.attempts))
        )
    )

    assert tuple(nothing.one()) == (0, None, None)
    assert await database.read(
        lambda s: refunds.sum_of_excess(s, ["pay_1"], [RefundStatus.SUCCEEDED])
    ) == {"pay_1": 0}


async def test_null_is_neither_equal_nor_different(database: Database) -> None:
    await write(database, payment("pay_1", description="x"), payment("pay_2"))

    async def count(session: Session, clause: Any) -> int:
        query = select(func.count()).select_from(Payment).where(clause)
        return int((await session.execute(query)).scalar_one())

    async def counted(session: Session) -> list[int]:
        return [
            await count(session, Payment.description == "x"),
            await count(session, Payment.description != "x"),
            await count(session, Payment.description.not_in(["y"])),
            await count(session, Payment.description.is_(None)),
            await count(session, (Payment.description == "x") | (Payment.id == "pay_2")),
        ]

    assert await database.read(counted) == [1, 0, 1, 1, 2]


async def test_old_keys_are_forgotten_in_bounded_batches(database: Database) -> None:
    for number in range(3):
        await database.transact(
            "test",
            lambda session, number=number: session.execute(
                insert(IdempotencyKey).values(
                    tenant_id="t", key=f"k{number}", fingerprint="f", operation="o", state="done",
                    fence=1, lease_until=NOW, created_at=NOW, completed_at=NOW,
                )
            ),
        )  # fmt: skip
    later = NOW + timedelta(days=31)

    purged = [
        await database.transact("test", lambda s: idempotency.purge(s, now=later, limit=2))
        for _ in range(3)
    ]

    assert purged == [2, 1, 0]


async def test_leases_are_counted_renewed_and_released_by_prefix(database: Database) -> None:
    async def work(session: Session) -> Any:
        for name in ("relay:shard:01", "relay:shard:02", "relay:member:a", "relayXshard:03"):
            await leases.acquire(session, name, owner="a", now=NOW, duration=10 * SECOND)
        renewed = await leases.renew(
            session, "relay:shard:", owner="a", now=NOW, duration=60 * SECOND
        )
        await leases.release_one(session, "relay:shard:01", owner="a")
        live = [
            await leases.count_live(session, "relay:", now=NOW + age * SECOND, duration=20 * SECOND)
            for age in (19, 20, 59, 60)
        ]
        await leases.release(session, owner="a")
        left = await leases.count_live(session, "relay", now=NOW, duration=20 * SECOND)
        return sorted(renewed), live, left

    # One is left until 60; who counts before 20 takes that for the word of a clock that is fast.
    expected = (["relay:shard:01", "relay:shard:02"], [0, 1, 1, 0], 0)
    assert await database.transact("test", work) == expected


@pytest.mark.parametrize(("fast_by", "passes_after"), [(0, 10), (10, 20), (11, 10), (3600, 10)])
async def test_a_lease_of_a_clock_that_is_fast_is_cut_short(
    database: Database, fast_by: int, passes_after: int
) -> None:
    async def ask(owner: str, at: int) -> bool:
        return await database.transact(
            "test",
            lambda session: leases.acquire(
                session, "scheduler", owner=owner, now=NOW + at * SECOND, duration=10 * SECOND
            ),
        )

    assert await ask("dead", fast_by)
    passed = [await ask("living", age) for age in (0, passes_after - 1, passes_after)]

    assert passed == [False, False, True]
