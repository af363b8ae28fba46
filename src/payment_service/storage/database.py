"""Units of work: the only place that opens, commits and repeats transactions.

A unit of work is an async function of a session. It runs in a task of its own, shielded from the
caller's cancellation: a client that hangs up must not leave committed work reported as cancelled
(docs/decisions/0002). On a deadlock, a lock wait or a busy database the whole unit is repeated, so
it must have no effect but through its session.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Any, TypeVar

from sqlalchemy import text
from sqlalchemy.exc import (
    DBAPIError,
    InterfaceError,
    OperationalError,
    TimeoutError as PoolTimeout,
)
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from payment_service import failpoints
from payment_service.domain.errors import ConcurrentUpdate, StorageUnavailable
from payment_service.domain.facts import Fact
from payment_service.storage import engines
from payment_service.storage.doors import Door
from payment_service.storage.faults import is_transient
from payment_service.storage.sealing import Keyring
from payment_service.storage.types import use_keyring

Session = AsyncSession
T = TypeVar("T")

PATIENCE_SECONDS = 2  # with others that wait for a connection
SQLITE_PATIENCE_SECONDS = 30
TRIES_MAX = 5
RETRY_DELAY_SECONDS = 0.02
FACTS = "facts"

OnCommit = Callable[[Fact], None]
"""Told of each fact of a unit of work, after its commit; it must not raise."""


def _unheard(_fact: Fact) -> None:
    """Nobody listens."""


def tell(session: Session, fact: Fact, context: Context | None = None) -> None:
    """Note what a unit of work does; whoever listens hears of it once the unit is committed.

    Args:
        session: The unit's.
        fact: What is done.
        context: Of the request that it belongs to, where the unit serves several.
    """
    session.info.setdefault(FACTS, []).append((fact, context))


class Repeat(Exception):
    """Raised by a unit of work that lost a race for a unique key: undo it and run it again."""


class _Undone(Exception):
    """The connection was lost before the commit was sent: the server undoes the unit."""


class Database:
    """A database with two doors: `transact` writes, `read` only looks."""

    def __init__(
        self, engine: AsyncEngine, reader: AsyncEngine, on_commit: OnCommit = _unheard
    ) -> None:
        self.engine = engine
        self._pools = {"write": engine.pool, "read": reader.pool}
        self.connections_max = int(getattr(engine.pool, "size", int)())
        self._on_commit = on_commit
        # SQLite has one writer at a time and an unfair busy handler: who waits does so here.
        is_sqlite = engine.dialect.name == "sqlite"
        patience = SQLITE_PATIENCE_SECONDS if is_sqlite else PATIENCE_SECONDS
        width = max(1, self.connections_max)
        self._writers = Door(engine, width=1 if is_sqlite else width, patience_seconds=patience)
        self._readers = Door(reader, width=width, patience_seconds=patience)
        self._running: set[asyncio.Future[Any]] = set()

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str,
        *,
        keyring: Keyring | None = None,
        pool_size: int = 16,
        on_commit: OnCommit = _unheard,
    ) -> AsyncIterator["Database"]:
        """Open a pool; finish running units of work before it closes.

        Without a keyring the sealed columns can be neither written nor read.
        """
        engine, reader = engines.create(url, pool_size=pool_size)
        if keyring is not None:
            for each in (engine, reader):
                use_keyring(each.dialect, keyring)
        database = cls(engine, reader, on_commit)
        try:
            yield database
        finally:
            while database._running:  # the end of one may begin another
                await asyncio.gather(*database._running, return_exceptions=True)
            await reader.dispose()
            await engine.dispose()

    async def transact(self, name: str, work: Callable[[Session], Awaitable[T]]) -> T:
        """Run `work` in one transaction: committed when it returns, rolled back when it raises.

        Args:
            name: Of this unit, unique in the service: its commit is the failpoint `commit.<name>`.
            work: The unit.

        Raises:
            StorageUnavailable: The database does not answer, or stays busy.
            ConcurrentUpdate: The unit lost every race.
        """
        return await self._shielded(self._repeat(work, lambda unit: self._write_once(name, unit)))

    async def read(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Run `work` on a session that must not write.

        Raises:
            StorageUnavailable: The database does not answer.
        """
        return await self._shielded(self._repeat(work, self._read_once))

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something that belongs to no request, and that must end before the pool closes."""
        self._keep(asyncio.create_task(work, context=Context()))

    async def check(self) -> None:
        """Return if the database answers.

        Raises:
            StorageUnavailable: It does not.
        """
        await self.read(lambda session: session.execute(text("SELECT 1")))

    def connections(self) -> dict[tuple[str, ...], int]:
        """Count connections by door (write, read) and state (used, idle)."""
        counted: dict[tuple[str, ...], int] = {}
        for door, pool in self._pools.items():
            used = getattr(pool, "checkedout", int)()
            idle = getattr(pool, "checkedin", int)()
            counted |= {(door, "used"): used, (door, "idle"): idle}
        return counted

    async def _write_once(self, name: str, work: Callable[[Session], Awaitable[T]]) -> T:
        async with self._writers() as session:
            result = await _undone_if_lost(work(session))
            with failpoints.effect(f"commit.{name}"):
                await session.commit()
            facts = session.info.pop(FACTS, ())
        for fact, context in facts:
            if context is None:
                self._on_commit(fact)
            else:
                context.run(self._on_commit, fact)
        return result

    async def _read_once(self, work: Callable[[Session], Awaitable[T]]) -> T:
        async with self._readers() as session:
            return await _undone_if_lost(work(session))

    async def _repeat(
        self,
        work: Callable[[Session], Awaitable[T]],
        once: Callable[[Callable[[Session], Awaitable[T]]], Awaitable[T]],
    ) -> T:
        has_been_lost = False
        for attempt in range(1, TRIES_MAX + 1):
            try:
                return await once(work)
            except Repeat as error:
                if attempt == TRIES_MAX:
                    raise ConcurrentUpdate("Others keep changing this; try again.") from error
            except _Undone as error:
                # Once: the pool has dropped all its connections, so the next one is new.
                if has_been_lost or attempt == TRIES_MAX:
                    raise StorageUnavailable("The database does not answer.") from error
                has_been_lost = True
            except (PoolTimeout, OSError) as error:
                raise StorageUnavailable("No connection to the database could be had.") from error
            except DBAPIError as error:
                again = is_transient(error)
                if not again and not isinstance(error, OperationalError | InterfaceError):
                    raise
                if not again or attempt == TRIES_MAX:
                    raise StorageUnavailable("The database does not answer.") from error
            # At once at first: what was in the way is done. Then with full jitter, so that two
            # units which collided do not collide again.
            delay_max = RETRY_DELAY_SECONDS * (2**attempt - 2)
            await asyncio.sleep(random.uniform(0, delay_max))  # noqa: S311
        raise AssertionError("unreachable: the last try returns or raises")

    async def _shielded(self, unit: Awaitable[T]) -> T:
        task = asyncio.ensure_future(unit)
        self._keep(task)
        return await asyncio.shield(task)

    def _keep(self, task: "asyncio.Future[Any]") -> None:
        self._running.add(task)
        task.add_done_callback(self._running.discard)


async def _undone_if_lost(work: Awaitable[T]) -> T:
    """Run what has no effect without a commit.

    Raises:
        _Undone: The connection was lost on the way.
    """
    try:
        return await work
    except DBAPIError as error:
        if error.connection_invalidated:
            raise _Undone from error
        raise
