"""Processes of the service: they share the store, the broker and the bank, and die at any step.

A process is killed as by SIGKILL: its transactions are undone by the server, nothing of its own
code has any effect afterwards. Its clock may be wrong, it may stall, and its connections may break.
"""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Protocol

from payment_service.use_cases.receive_webhook import open_journal
from tests.simulation.chance import Swarm
from tests.simulation.loop import turn
from tests.simulation.store.database import SimulatedDatabase
from tests.simulation.store.faults import connection_lost
from tests.simulation.store.transactions import Store, Transaction

EPOCH = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
STALL_SECONDS = (0.5, 5.0, 20.0, 45.0)
JUMP_SECONDS = (-3600.0, -60.0, -5.0, 5.0, 60.0, 3600.0)
NEVER = 1 << 60
PROVIDER = "simulated"


class Killed(BaseException):
    """The process is dead; nobody in it may catch this and go on."""


class Surrounded(Protocol):
    """What a process needs of its world."""

    chance: Random
    swarm: Swarm
    store: Store
    loop: asyncio.AbstractEventLoop

    def note(self, mark: str) -> None:
        """Remember that a rare state was reached."""

    def trace(self, who: str, what: str) -> None:
        """Tell the reader of a replay."""


class Process:
    """One process; `database` and `clock` are its own."""

    def __init__(self, world: Surrounded, name: str, *, is_calm: bool = False) -> None:
        self.world = world
        self.name = name
        self.is_alive = True
        self.database = SimulatedDatabase(world.store, self)
        self.journal = open_journal(self.database, PROVIDER, self.clock)
        self.last_effect = ""
        self._skew = timedelta()
        self._open: dict[Transaction, asyncio.Task[Any] | None] = {}
        self._tasks: list[asyncio.Task[Any]] = []
        self._fuse = NEVER
        self._is_calm = is_calm
        self._light_fuse()

    def clock(self) -> datetime:
        """Tell the time as this process believes it."""
        return EPOCH + timedelta(seconds=self.world.loop.time()) + self._skew

    @property
    def is_in_transaction(self) -> bool:
        """Tell whether the present task has a transaction open."""
        task = asyncio.current_task()
        return any(owner is task and not tx.is_over for tx, owner in self._open.items())

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something that ends when the process does."""
        task = self.world.loop.create_task(work)
        self._tasks.append(task)
        task.add_done_callback(self._tasks.remove)
        return task

    def kill(self) -> None:
        """End the process at once."""
        self.is_alive = False
        self.world.trace(self.name, "is killed")
        self.world.note("a process was killed")
        if self.last_effect:
            self.world.note(f"a process was killed between {self.last_effect} and its record")
        for tx in self._open:
            if not tx.is_over:
                if tx.holds_rows:
                    self.world.note("a process was killed while it held rows")
                tx.break_off(Killed(self.name))
        current = asyncio.current_task()
        for task in list(self._tasks):
            if task is not current:
                task.cancel()

    def calm(self) -> None:
        """Let nothing strike any more."""
        self._is_calm = True
        self._fuse = NEVER
        self._skew = timedelta()

    def require_alive(self) -> None:
        """Have no effect after death."""
        if not self.is_alive:
            raise Killed(self.name)

    async def step(self) -> None:
        """Come to a point at which others go on, and something may strike."""
        self.require_alive()
        self._fuse -= 1
        if self._fuse <= 0:
            await self._struck(None)
        await turn()
        self.require_alive()

    async def statement(self, tx: Transaction) -> None:
        """Stand between two statements of a transaction."""
        self.require_alive()
        if tx not in self._open:
            self._open = {each: task for each, task in self._open.items() if not each.is_over}
            self._open[tx] = asyncio.current_task()
        self._fuse -= 1
        if self._fuse <= 0:
            await self._struck(tx)
        await turn()
        self.require_alive()

    async def commit(self, tx: Transaction, apply: Callable[[], None]) -> None:
        """Commit; the connection may break before or after, and the caller cannot tell which."""
        await self.statement(tx)
        wrote = tx.has_written
        apply()
        self._open.pop(tx, None)
        if wrote:
            self.last_effect = ""
        self._fuse -= 1
        if self._fuse <= 0:
            await self._struck(None, after_commit=True)
        self.require_alive()

    async def _struck(self, tx: Transaction | None, *, after_commit: bool = False) -> None:
        """Have one misfortune, chosen by the swarm's rates."""
        self._light_fuse()
        swarm, chance = self.world.swarm, self.world.chance
        kind = chance.choices(
            ("kill", "stall", "cut", "jump"), (swarm.kill, swarm.stall, swarm.cut, swarm.jump)
        )[0]
        if kind == "kill":
            if after_commit:
                self.world.note("a process was killed right after a commit")
            self.kill()
            raise Killed(self.name)
        if kind == "stall":
            seconds = chance.choice(STALL_SECONDS)
            self.world.trace(self.name, f"stalls for {seconds} s")
            await asyncio.sleep(seconds)
        elif kind == "jump":
            self._skew += timedelta(seconds=chance.choice(JUMP_SECONDS))
            self.world.note("a clock was set" + (" back" if self._skew < timedelta() else ""))
            self.world.trace(self.name, f"has its clock off by {self._skew}")
        elif after_commit:
            self.world.trace(self.name, "loses the answer to a commit")
            self.world.note("a commit happened, and its caller does not know")
            raise connection_lost()
        elif tx is not None:
            self.world.trace(self.name, "loses its connection")
            self.world.note("a connection broke inside a transaction")
            tx.break_off(connection_lost())

    def _light_fuse(self) -> None:
        rate = self.world.swarm.hazards
        if not self._is_calm and rate:
            self._fuse = 1 + int(self.world.chance.expovariate(rate))
        else:
            self._fuse = NEVER
