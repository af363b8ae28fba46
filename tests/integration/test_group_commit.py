"""Group commit: what comes together shares a transaction, and nobody pays for a neighbour."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from payment_service.domain.errors import Overloaded, StorageUnavailable
from payment_service.domain.idempotency import LEASE
from payment_service.storage import bulk, group_commit, leases, migrate
from payment_service.storage.database import Database, Session
from payment_service.storage.group_commit import GroupCommit

NOW = datetime(2026, 11, 24, 10, 0, 0, 123456, tzinfo=UTC)
POISON = "poison"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url) as opened:
        await migrate.upgrade(opened)
        yield opened


class Names:
    """Writes names down, in groups that it remembers; the gate holds the first group up."""

    def __init__(self, database: Database) -> None:
        self.groups: list[list[str]] = []
        self.gate = asyncio.Event()
        self.entered = asyncio.Event()
        self._database = database
        self.commit = GroupCommit(database, "test", self._write)

    async def _write(self, session: Session, names: Sequence[str]) -> list[str]:
        self.groups.append(list(names))
        self.entered.set()
        await self.gate.wait()
        for name in names:
            await leases.acquire(session, name, owner="me", now=NOW, duration=LEASE)
            if name == POISON:
                raise ValueError(POISON)
        return [name.upper() for name in names]

    async def hold_up(self, *names: str) -> list["asyncio.Task[str]"]:
        """Submit a first name, whose commit is held up, and then the others."""
        tasks = [asyncio.create_task(self.commit.submit("first"))]
        await self.entered.wait()
        tasks += [asyncio.create_task(self.commit.submit(name)) for name in names]
        await asyncio.sleep(0)  # each is in the queue now
        return tasks

    async def written(self) -> set[str]:
        """Read them back over another connection."""
        found = await self._database.read(
            lambda session: session.scalars(text("SELECT name FROM leases"))
        )
        return set(found)


@pytest.fixture
def names(database: Database) -> Iterator[Names]:
    made = Names(database)
    yield made
    made.gate.set()  # what is still held up would hold the database up


async def test_what_comes_while_one_is_committed_shares_the_next_transaction(names: Names) -> None:
    tasks = await names.hold_up("a", "b", "c")
    names.gate.set()

    assert await asyncio.gather(*tasks) == ["FIRST", "A", "B", "C"]
    assert names.groups == [["first"], ["a", "b", "c"]]
    assert await names.written() == {"first", "a", "b", "c"}


async def test_what_comes_alone_waits_for_nobody(names: Names) -> None:
    names.gate.set()

    assert [await names.commit.submit("a"), await names.commit.submit("b")] == ["A", "B"]
    assert names.groups == [["a"], ["b"]]


async def test_who_is_at_the_door_comes_with_the_group(names: Names) -> None:
    names.gate.set()
    first = asyncio.create_task(names.commit.submit("a"))
    for _ in range(3):  # the other request was being read meanwhile
        await asyncio.sleep(0)

    assert await asyncio.gather(first, names.commit.submit("b")) == ["A", "B"]
    assert names.groups == [["a", "b"]]


@pytest.mark.parametrize("count", range(1, 65))
def test_rows_of_a_group_go_in_three_statements_at_most(count: int) -> None:
    statements = []
    while count:
        statements.append(next(size for size in bulk.SIZES if size <= count))
        count -= statements[-1]

    assert len(statements) <= 3


async def test_an_outcome_is_told_after_the_commit_only(names: Names) -> None:
    tasks = await names.hold_up("a")
    assert not any(task.done() for task in tasks)
    assert await names.written() == set()

    names.gate.set()
    await tasks[0]
    assert "first" in await names.written()
    await tasks[1]
    assert "a" in await names.written()


async def test_one_that_cannot_be_done_harms_no_other(names: Names) -> None:
    tasks = await names.hold_up("a", POISON, "b")
    names.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert [results[0], results[1], results[3]] == ["FIRST", "A", "B"]
    assert isinstance(results[2], ValueError)
    assert await names.written() == {"first", "a", "b"}


async def test_an_item_is_done_although_whoever_brought_it_has_left(names: Names) -> None:
    tasks = await names.hold_up("a", "b")
    tasks[1].cancel()
    names.gate.set()

    assert await tasks[2] == "B"
    assert tasks[1].cancelled()
    assert await names.written() == {"first", "a", "b"}


async def test_too_many_are_turned_away_and_not_done(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "WAITING_MAX", 2)
    tasks = await names.hold_up("a", "b", "c")
    names.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert results[:3] == ["FIRST", "A", "B"]
    assert isinstance(results[3], Overloaded)
    assert await names.written() == {"first", "a", "b"}


async def test_a_group_has_a_bound(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "GROUP_MAX", 2)
    tasks = await names.hold_up("a", "b", "c")
    names.gate.set()
    await asyncio.gather(*tasks)

    assert names.groups == [["first"], ["a", "b"], ["c"]]


async def test_of_more_than_is_full_a_half_goes_first(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "GROUP_FULL", 2)
    monkeypatch.setattr(group_commit, "COMMITS_MAX", 1)
    tasks = await names.hold_up(*"abcdefg")
    names.gate.set()
    await asyncio.gather(*tasks)

    assert names.groups == [["first"], [*"abc"], [*"de"], [*"fg"]]


async def test_full_groups_are_committed_beside_the_one_under_way(
    names: Names, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = [["first"], [*"abc"], [*"de"], [*"fg"]]
    at_a_time = 1 if database_url.startswith("sqlite") else 3  # SQLite has one writer
    monkeypatch.setattr(group_commit, "GROUP_FULL", 2)
    monkeypatch.setattr(group_commit, "COMMITS_MAX", 3)
    tasks = await names.hold_up(*"abcdefg")
    async with asyncio.timeout(10):
        while len(names.groups) < at_a_time:
            names.entered.clear()
            await names.entered.wait()

    assert names.groups == groups[:at_a_time]  # and the others wait
    names.gate.set()
    assert await asyncio.gather(*tasks) == ["FIRST", *"ABCDEFG"]
    assert names.groups == groups


async def test_all_of_a_group_learn_that_the_database_is_away(database: Database) -> None:
    async def fail(_session: Session, _names: Sequence[str]) -> list[str]:
        raise OSError("connection refused")

    commit = GroupCommit[str, str](database, "test", fail)
    results = await asyncio.gather(*map(commit.submit, "ab"), return_exceptions=True)

    assert [type(result) for result in results] == [StorageUnavailable] * 2


async def test_a_database_that_closes_finishes_what_waits(database_url: str) -> None:
    async with Database.open(database_url) as opened:
        await migrate.upgrade(opened)
        names = Names(opened)
        tasks = await names.hold_up("a", "b")
        names.gate.set()
    assert [await task for task in tasks] == ["FIRST", "A", "B"]
