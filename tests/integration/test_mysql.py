"""What is MySQL's own: modes, isolation, TLS, and the loss of a connection."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from payment_service.domain.errors import InvalidSettings, StorageUnavailable
from payment_service.storage.database import Database, Session

pytestmark = [pytest.mark.stack]


@pytest.fixture
async def database(mysql_server: Any) -> AsyncIterator[Database]:
    async with Database.open(mysql_server.create_database("test_mysql")) as opened:
        yield opened
    mysql_server.drop_database("test_mysql")


async def one(database: Database, query: str) -> Any:
    async def ask(session: Session) -> Any:
        result = await session.execute(text(query))
        return result.scalar() if result.returns_rows else None

    return await database.transact("test", ask)


async def test_sessions_are_strict_utc_and_read_committed(database: Database) -> None:
    assert "STRICT_ALL_TABLES" in await one(database, "SELECT @@sql_mode")
    assert await one(database, "SELECT @@time_zone") == "+00:00"
    assert await one(database, "SELECT @@transaction_isolation") == "READ-COMMITTED"
    assert await one(database, "SELECT @@innodb_lock_wait_timeout") == 3


@pytest.mark.parametrize("mode", ["verify_ca", "verify_identity"])
async def test_tls_is_used_and_checked(mysql_server: Any, mode: str) -> None:
    url = f"{mysql_server.url()}?ssl_ca={mysql_server.ca_path}&ssl_mode={mode}"
    async with Database.open(url) as database:
        if mode == "verify_identity":  # the certificate that MySQL made does not carry its name
            with pytest.raises(StorageUnavailable):
                await database.check()
            return
        shown = await database.transact(
            "test", lambda session: session.execute(text("SHOW SESSION STATUS LIKE 'Ssl_version'"))
        )

    assert shown.one()[1].startswith("TLSv1")


async def test_unknown_tls_mode_is_refused(mysql_server: Any) -> None:
    with pytest.raises(InvalidSettings):
        async with Database.open(f"{mysql_server.url()}?ssl_mode=preferred"):
            pass


async def test_deadlock_is_repeated_until_both_have_worked(database: Database) -> None:
    await one(database, "CREATE TABLE t (id INT PRIMARY KEY, n INT NOT NULL)")
    await one(database, "INSERT INTO t VALUES (1, 0), (2, 0)")
    both = asyncio.Barrier(2)
    tries = 0

    async def add(session: Session, first: int, second: int) -> None:
        nonlocal tries
        tries += 1
        await session.execute(text(f"UPDATE t SET n = n + 1 WHERE id = {first}"))
        if tries <= 2:
            await both.wait()
        await session.execute(text(f"UPDATE t SET n = n + 1 WHERE id = {second}"))

    await asyncio.gather(
        database.transact("test", lambda session: add(session, 1, 2)),
        database.transact("test", lambda session: add(session, 2, 1)),
    )

    assert tries == 3
    assert await one(database, "SELECT SUM(n) FROM t") == 4


def kill_connections(mysql_server: Any) -> None:
    """Kill what the service holds, as a restart of the server does."""
    for (connection,) in mysql_server.query(
        "SELECT id FROM information_schema.processlist WHERE user = 'payments'"
    ):
        mysql_server.query(f"KILL {connection}")


async def test_killed_connections_are_replaced(database: Database, mysql_server: Any) -> None:
    async def many() -> list[Any]:
        units = [one(database, f"SELECT {n} FROM (SELECT SLEEP(0.1)) t") for n in range(8)]
        _, *numbers = await asyncio.gather(database.check(), *units)
        return numbers

    assert await many() == list(range(8))
    kill_connections(mysql_server)
    assert await many() == list(range(8))


async def test_a_unit_that_loses_its_connection_is_undone_and_run_again(
    database: Database, mysql_server: Any
) -> None:
    await one(database, "CREATE TABLE t (id INT PRIMARY KEY)")
    tries = 0

    async def write(session: Session) -> None:
        nonlocal tries
        tries += 1
        await session.execute(text(f"INSERT INTO t VALUES ({tries})"))
        if tries == 1:
            kill_connections(mysql_server)
        await session.execute(text("INSERT INTO t VALUES (10)"))

    await database.transact("test", write)

    assert tries == 2
    assert await one(database, "SELECT GROUP_CONCAT(id ORDER BY id) FROM t") == "2,10"


async def test_a_unit_that_keeps_losing_its_connection_ends(
    database: Database, mysql_server: Any
) -> None:
    tries = 0

    async def write(session: Session) -> None:
        nonlocal tries
        tries += 1
        await session.execute(text("SELECT 1"))
        kill_connections(mysql_server)
        await session.execute(text("SELECT 1"))

    with pytest.raises(StorageUnavailable):
        await database.transact("test", write)

    assert tries == 2


async def test_no_transaction_outlives_its_unit(database: Database, mysql_server: Any) -> None:
    await one(database, "CREATE TABLE t (id INT PRIMARY KEY)")

    async def write(session: Session) -> None:
        await session.execute(text("INSERT INTO t VALUES (1)"))

    async def fail(session: Session) -> None:
        await session.execute(text("INSERT INTO t VALUES (2)"))
        raise ValueError

    async def fail_twice(session: Session) -> None:
        await session.execute(text("SELECT * FROM t WHERE id = 1 FOR UPDATE"))
        await write(session)

    await database.transact("test", write)
    with pytest.raises(ValueError):  # noqa: PT011  # it is ours, some lines up
        await database.transact("test", fail)
    with pytest.raises(IntegrityError):
        await database.transact("test", fail_twice)

    open_ones = mysql_server.query("SELECT COUNT(*) FROM information_schema.innodb_trx")
    assert [int(count) for (count,) in open_ones] == [0]


async def test_every_wait_ends_when_the_pool_is_empty(mysql_server: Any) -> None:
    async with Database.open(mysql_server.url(), pool_size=1) as database:
        entered, leave = asyncio.Event(), asyncio.Event()

        async def hold(session: Session) -> None:
            await session.execute(text("SELECT 1"))
            entered.set()
            await leave.wait()

        holding = asyncio.create_task(database.transact("test", hold))
        await entered.wait()
        with pytest.raises(StorageUnavailable):
            await database.transact("test", lambda session: session.execute(text("SELECT 1")))
        leave.set()
        await holding
