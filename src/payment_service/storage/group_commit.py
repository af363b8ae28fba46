"""Group commit: units of work of one kind share transactions, and with them the price of a commit.

What arrives while a transaction is under way shares the next one. Nothing waits for what has not
arrived: what comes alone is committed at once. A full group does not wait either: it is committed
beside those under way, so that the database and we work at the same time and not in turns. An
outcome is told after its commit, never before.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from payment_service.domain.errors import Overloaded, StorageUnavailable
from payment_service.storage.database import Database, Session
from payment_service.telemetry import tracing

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

GROUP_FULL = 16  # items that are worth a transaction of their own
GROUP_MAX = 64  # items in one transaction
COMMITS_MAX = 4  # transactions under way
WAITING_MAX = 1024  # items that wait; more are turned away
TURNS = 8  # of the event loop, before a group is closed: who is at the door comes in, unless full
RETRY_AFTER_SECONDS = 1

Work = Callable[[Session, Sequence[Item]], Awaitable[Sequence[Outcome]]]
"""Does several items in one transaction; returns their outcomes in order."""


class _Entry(Generic[Item, Outcome]):
    """An item, and whoever waits for its outcome."""

    __slots__ = ("item", "outcome", "traceparent")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.traceparent = tracing.kept_traceparent()

    def tell(self, outcome: Outcome) -> None:
        if not self.outcome.done():  # whoever waited may be gone
            self.outcome.set_result(outcome)

    def fail(self, error: BaseException) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(error)


class GroupCommit(Generic[Item, Outcome]):
    """One kind of work, committed in groups.

    Args:
        database: Where.
        name: Of the unit of work, see `Database.transact`.
        work: Does the items. It is run again, with one item at a time, when it raises: one that
            cannot be done must not harm the others.
    """

    def __init__(self, database: Database, name: str, work: Work[Item, Outcome]) -> None:
        self._database = database
        self._name = name
        self._work = work
        self._waiting: deque[_Entry[Item, Outcome]] = deque()
        self._committing = 0  # tasks that commit, at most COMMITS_MAX

    async def submit(self, item: Item) -> Outcome:
        """Do an item; return when it is committed. It is done even if the caller goes away.

        Raises:
            Overloaded: Too much waits; the item is not done.
            StorageUnavailable: The database does not answer.
        """
        if len(self._waiting) >= WAITING_MAX:
            raise Overloaded(RETRY_AFTER_SECONDS)
        entry: _Entry[Item, Outcome] = _Entry(item)
        self._waiting.append(entry)
        is_full = len(self._waiting) >= GROUP_FULL
        if not self._committing or (is_full and self._committing < COMMITS_MAX):
            self._committing += 1
            self._database.start(self._commit_all())
        return await entry.outcome

    async def _commit_all(self) -> None:
        """Commit groups until nothing waits."""
        try:
            while self._waiting:
                for _ in range(TURNS):
                    if len(self._waiting) >= GROUP_FULL:
                        break
                    await asyncio.sleep(0)
                if self._waiting:  # no other commit has taken it
                    await self._commit(self._next_group())
        except BaseException as error:  # the process ends
            while self._waiting:
                self._waiting.popleft().fail(error)
            raise
        finally:
            self._committing -= 1

    def _next_group(self) -> Sequence[_Entry[Item, Outcome]]:
        """Take what waits; of more than is full a half, so that the other is not held up by it."""
        waiting = len(self._waiting)
        size = min(waiting, GROUP_MAX, max(GROUP_FULL, waiting // 2))
        return [self._waiting.popleft() for _ in range(size)]

    async def _commit(self, group: Sequence[_Entry[Item, Outcome]]) -> None:
        items = [entry.item for entry in group]
        traces = [entry.traceparent for entry in group if entry.traceparent is not None]

        async def work(session: Session) -> Sequence[Outcome]:
            outcomes = await self._work(session, items)
            assert len(outcomes) == len(items), "an outcome for each item, or someone waits forever"
            return outcomes

        try:
            with tracing.shared(f"commit {self._name}", traces, by=len(group)):
                outcomes = await self._database.transact(self._name, work)
        except StorageUnavailable as error:
            _fail(group, error)
        except Exception as error:  # noqa: BLE001  # handed to whoever waits
            if len(group) == 1:
                _fail(group, error)
                return
            for entry in group:
                await self._commit([entry])
        except BaseException as error:
            _fail(group, error)
            raise
        else:
            for entry, outcome in zip(group, outcomes, strict=True):
                entry.tell(outcome)


def _fail(group: Sequence[_Entry[Item, Outcome]], error: BaseException) -> None:
    for entry in group:
        entry.fail(error)
