"""Transactions: what they hold, whom they wait for, and how they end."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from sqlalchemy import MetaData

from tests.simulation.store.expressions import Row
from tests.simulation.store.faults import deadlock, lock_wait_timeout
from tests.simulation.store.tables import Record, Tables

LOCK_TIMEOUT_SECONDS = 3.0

OnCommit = Callable[[str, Row | None, Row | None], None]
"""Told the table, the old row and the new one, for each row that a commit changes."""


class Surroundings(Protocol):
    """What a simulated world does to a client of the store."""

    async def statement(self, tx: "Transaction") -> None:
        """Stand between two statements: others go on, connections break, processes die."""

    async def commit(self, tx: "Transaction", apply: Callable[[], None]) -> None:
        """Commit, and perhaps not live to hear of it."""


class Calm:
    """Nothing happens but that others go on, too."""

    async def statement(self, _tx: "Transaction") -> None:
        """Let others go on."""
        await asyncio.sleep(0)

    async def commit(self, _tx: "Transaction", apply: Callable[[], None]) -> None:
        """Commit."""
        await asyncio.sleep(0)
        apply()


class Store:
    """A database in memory, shared by all who connect to it."""

    def __init__(
        self, metadata: MetaData, note: Callable[[str], None] = lambda _mark: None
    ) -> None:
        self.tables = Tables(metadata)
        self.note = note  # told of rare states
        self.alarm: Callable[[str], None] = lambda _what: None  # told of what should never happen
        self.on_commit: list[OnCommit] = []
        self.shuffle: Callable[[list[object]], None] = lambda _rows: None

    def begin(self, surroundings: Surroundings) -> "Transaction":
        """Begin a transaction."""
        return Transaction(self, surroundings)


class Transaction:
    """One transaction, on a connection of its own."""

    def __init__(self, store: Store, surroundings: Surroundings) -> None:
        self.store = store
        self.surroundings = surroundings
        self.is_over = False
        self._held: list[Record] = []
        self._waiters: list[asyncio.Future[None]] = []
        self._waits_for: Transaction | None = None
        self._free: asyncio.Future[None] | None = None  # set when the wait is over
        self._broken: BaseException | None = None

    @property
    def holds_rows(self) -> bool:
        """Tell whether others may have to wait for us."""
        return bool(self._held)

    @property
    def has_written(self) -> bool:
        """Tell whether a commit would change anything."""
        return any(record.is_dirty for record in self._held)

    async def take(self, record: Record) -> None:
        """Hold a record until the end; wait for whoever holds it."""
        while record.owner is not self:
            if record.owner is None:
                self.require_alive()
                record.owner = self
                self._held.append(record)
                return
            await self.wait_for(record.owner)

    async def wait_for(self, other: "Transaction") -> None:
        """Wait until another transaction ends.

        Raises:
            OperationalError: It waits for us, or does not end in time.
        """
        self.require_alive()
        ahead: Transaction | None = other
        while ahead is not None:
            if ahead is self:
                self.store.note("a deadlock had a victim")
                self.roll_back()
                raise deadlock()
            ahead = ahead._waits_for
        self._waits_for = other
        self._free = asyncio.get_running_loop().create_future()
        other._waiters.append(self._free)
        try:
            async with asyncio.timeout(LOCK_TIMEOUT_SECONDS):
                await self._free
        except TimeoutError:
            self.store.note("a lock was waited for in vain")
            raise lock_wait_timeout() from None
        finally:
            self._waits_for = None
            self._free = None
        self.require_alive()

    def write(self, record: Record, row: Row | None) -> None:
        """Give a record that we hold its next version."""
        assert record.owner is self
        record.pending = row
        record.is_dirty = True
        if row is not None:
            record.table.enter(record, row)

    def require_alive(self) -> None:
        """Refuse to go on after the end."""
        if self._broken is not None:
            raise self._broken
        assert not self.is_over, "the transaction has ended"

    async def commit(self) -> None:
        """Make everything visible at once."""
        self.require_alive()
        await self.surroundings.commit(self, self._apply)

    def roll_back(self) -> None:
        """Undo everything."""
        if not self.is_over:
            self._end(keep=False)

    def break_off(self, error: BaseException) -> None:
        """Undo everything, because the process or its connection is gone."""
        self._broken = error
        self.roll_back()
        if self._free is not None and not self._free.done():
            self._free.set_result(None)

    def _apply(self) -> None:
        self.require_alive()
        self._end(keep=True)

    def _end(self, *, keep: bool) -> None:
        self.is_over = True
        changes = []
        for record in self._held:
            if record.is_dirty:
                if keep:
                    changes.append((record.table.name, record.committed, record.pending))
                    record.committed = record.pending
                record.pending = None
                record.is_dirty = False
            record.owner = None
        self._held.clear()
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        for told in self.store.on_commit:
            for change in changes:
                told(*change)
