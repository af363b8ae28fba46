"""Units of work: all or nothing, repeated when they collide, finished when the caller leaves."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import event, text

from payment_service.domain.errors import (
    ConcurrentUpdate,
    IdempotencyInProgress,
    IdempotencyKeyReused,
    StorageUnavailable,
)
from payment_service.domain.idempotency import LEASE, IdempotentRequest, StoredResponse
from payment_service.storage import database as module, idempotency, leases, migrate, outbox
from payment_service.storage.database import PATIENCE_SECONDS, Database, Repeat, Session
from payment_service.storage.doors import Door
from payment_service.storage.idempotency import Claim

NOW = datetime(2026, 11, 24, 10, 0, 0, 123456, tzinfo=UTC)
MANY = 20  # more than there are connections


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url) as opened:
        await migrate.upgrade(opened)
        yield opened


async def count(database: Database, table: str = "leases") -> int:
    return int(await database.read(
        lambda session: session.scalar(text(f"SELECT COUNT(*) FROM {table}"))
    ))  # fmt: skip


async def take(session: Session, name: str) -> None:
    await leases.acquire(session, name, owner="me", now=NOW, duration=LEASE)


async def test_failed_unit_leaves_nothing(database: Database) -> None:
    async def work(session: Session) -> None:
        await take(session, "a")
        raise ValueError("undo me")

    with pytest.raises(ValueError, match="undo me"):
        await database.transact("test", work)

    assert await count(database) == 0


async def test_unit_finishes_although_its_caller_is_cancelled(database: Database) -> None:
    entered = asyncio.Event()
    go_on = asyncio.Event()

    async def work(session: Session) -> None:
        entered.set()
        await go_on.wait()
        await take(session, "a")

    caller = asyncio.create_task(database.transact("test", work))
    await entered.wait()
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    go_on.set()
    await database.transact("test", lambda session: take(session, "b"))

    assert caller.cancelled()
    assert await count(database) == 2


async def test_unit_that_lost_a_race_is_run_again(database: Database) -> None:
    tries = 0

    async def work(session: Session) -> int:
        nonlocal tries
        tries += 1
        await take(session, "a")
        if tries < 3:
            raise Repeat
        return tries

    assert await database.transact("test", work) == 3
    assert await count(database) == 1


async def test_unit_that_always_loses_gives_up(database: Database) -> None:
    async def work(_session: Session) -> None:
        raise Repeat

    with pytest.raises(ConcurrentUpdate):
        await database.transact("test", work)


async def test_missing_database_is_told_as_such() -> None:
    async with Database.open("mysql+asyncmy://nobody:nothing@127.0.0.1:1/none") as database:
        with pytest.raises(StorageUnavailable):
            await database.check()
        with pytest.raises(StorageUnavailable):
            await database.transact("test", lambda session: take(session, "a"))


async def test_who_waits_for_a_connection_is_served_in_turn(database_url: str) -> None:
    served: list[int] = []

    async def work(number: int, session: Session) -> None:
        await session.execute(text("SELECT 1"))
        served.append(number)

    async with Database.open(database_url, pool_size=1) as database:

        async def come_twice(number: int) -> None:
            await database.transact("test", partial(work, number))
            await database.transact("test", partial(work, 10 + number))

        await asyncio.gather(*map(come_twice, range(5)))

    assert served == [*range(5), *range(10, 15)]


async def test_who_comes_as_a_connection_is_given_back_does_not_pass_who_waits(
    database_url: str,
) -> None:
    """At SQLAlchemy's pool they would: who waits there is woken up only a step later."""
    served: list[str] = []
    late: list[asyncio.Task[None]] = []
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def come(name: str) -> None:
        async with door() as session:
            await session.execute(text("SELECT 1"))
            served.append(name)
            entered.set()
            await go_on.wait()

    def come_late(*_: object) -> None:
        if not late:
            late.append(asyncio.create_task(come("late")))

    async with Database.open(database_url, pool_size=1) as database:
        door = Door(database.engine, width=1, patience_seconds=PATIENCE_SECONDS)
        event.listen(database.engine.sync_engine.pool, "checkin", come_late)
        first = asyncio.create_task(come("first"))
        await entered.wait()
        second = asyncio.create_task(come("second"))
        await asyncio.sleep(0)  # it is in line
        go_on.set()
        await asyncio.gather(first, second)
        await asyncio.gather(*late)

    assert served == ["first", "second", "late"]


@pytest.mark.parametrize("door", ["write", "read"])
async def test_who_waits_too_long_for_a_connection_is_told_so_and_keeps_nobody(
    database_url: str, door: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(module, "SQLITE_PATIENCE_SECONDS", 0.05)
    is_held, go_on = asyncio.Event(), asyncio.Event()

    async def hold(_session: Session) -> None:
        is_held.set()
        await go_on.wait()

    async def look(session: Session) -> int:
        return int(await session.scalar(text("SELECT 1")) or 0)

    async with Database.open(database_url, pool_size=1) as database:
        enter = partial(database.transact, "test") if door == "write" else database.read
        holding = [asyncio.create_task(enter(hold)) for _ in range(MANY)]
        await is_held.wait()

        with pytest.raises(StorageUnavailable):
            await enter(look)

        go_on.set()
        ended = await asyncio.gather(*holding, return_exceptions=True)
        assert {str(error) for error in ended if error} == {
            "No connection to the database could be had."
        }
        assert await enter(look) == 1


async def test_times_keep_their_microseconds_and_their_zone(database: Database) -> None:
    await database.transact("test", lambda session: take(session, "a"))

    live = [
        await database.read(lambda s, at=at: leases.count_live(s, "a", now=at, duration=LEASE))
        for at in (NOW + LEASE, NOW + LEASE - timedelta(microseconds=1))
    ]

    assert live == [0, 1]


def request(key: str = "k", fingerprint: str = "f", tenant: str = "t") -> IdempotentRequest:
    return IdempotentRequest(tenant_id=tenant, key=key, operation="op", fingerprint=fingerprint)


async def claim(
    database: Database, asked: IdempotentRequest, now: datetime = NOW
) -> Claim | StoredResponse:
    return await database.transact(
        "test", lambda session: idempotency.claim(session, asked, resource_id="r", now=now)
    )


async def test_key_is_claimed_by_one_of_many(database: Database) -> None:
    results = await asyncio.gather(
        *(claim(database, request()) for _ in range(20)), return_exceptions=True
    )

    claims = [result for result in results if isinstance(result, Claim)]
    assert len(claims) == 1
    assert all(isinstance(r, Claim | IdempotencyInProgress) for r in results)


async def test_key_means_one_request_of_one_tenant(database: Database) -> None:
    await claim(database, request())

    with pytest.raises(IdempotencyKeyReused):
        await claim(database, request(fingerprint="other"))
    assert isinstance(await claim(database, request(tenant="other")), Claim)


async def test_answer_is_kept_byte_for_byte(database: Database) -> None:
    held = await claim(database, request())
    assert isinstance(held, Claim)
    answer = StoredResponse(201, {"location": "/x"}, b'{"\xc3\xa9": 1}')

    await database.transact("test", lambda s: idempotency.complete(s, held, answer, now=NOW))

    assert await claim(database, request()) == answer


async def test_dead_request_is_taken_over_and_its_zombie_cannot_answer(
    database: Database,
) -> None:
    first = await claim(database, request())
    second = await claim(database, request(), now=NOW + LEASE + timedelta(seconds=1))
    assert isinstance(first, Claim)
    assert isinstance(second, Claim)
    assert not second.is_new
    assert second.fence == first.fence + 1

    with pytest.raises(IdempotencyInProgress):
        await database.transact(
            "test", lambda s: idempotency.complete(s, first, StoredResponse(200, {}, b""), now=NOW)
        )


async def test_old_answers_are_forgotten_and_unfinished_ones_are_not(database: Database) -> None:
    done = await claim(database, request("done"))
    await claim(database, request("open"))
    assert isinstance(done, Claim)
    await database.transact(
        "test", lambda s: idempotency.complete(s, done, StoredResponse(200, {}, b""), now=NOW)
    )
    later = NOW + timedelta(days=31)

    purged = await database.transact("test", lambda s: idempotency.purge(s, now=later, limit=10))

    assert purged == 1
    assert await count(database, "idempotency_keys") == 1


async def test_lease_has_one_owner_until_it_ends(database: Database) -> None:
    async def acquire(owner: str, now: datetime) -> bool:
        return await database.transact(
            "test", lambda s: leases.acquire(s, "job", owner=owner, now=now, duration=LEASE)
        )

    assert await acquire("a", NOW)
    assert not await acquire("b", NOW + LEASE / 2)
    assert await acquire("a", NOW + LEASE / 2)
    assert not await acquire("b", NOW + LEASE)
    assert await acquire("b", NOW + LEASE * 2)


async def add_message(database: Database, key: str, number: int) -> None:
    message = outbox.NewMessage(topic="t", message_key=key, message_id=f"m{number}",
                                payload=b"x", headers={}, at=NOW)  # fmt: skip
    await database.transact("test", lambda session: outbox.add(session, message))


async def test_outbox_keeps_order_and_blocks_only_the_refused_key(database: Database) -> None:
    for number, key in enumerate(["a", "b", "a", "b"]):
        await add_message(database, key, number)
    shards = range(outbox.SHARDS)

    async def pending() -> list[str]:
        rows = await database.read(lambda s: outbox.list_pending(s, shards, limit=10))
        return [row.message_id for row in rows]

    before = await pending()
    first = (await database.read(lambda s: outbox.list_pending(s, shards, limit=1)))[0]
    await database.transact("test", lambda s: outbox.mark_refused(s, first.id, "too large"))

    assert before == ["m0", "m1", "m2", "m3"]
    assert await pending() == ["m1", "m3"]
