"""Keeps the processes of the service running while they are killed."""

import asyncio
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.roles import PROVIDER
from tests.chaos.shared import SLOTS, Tally
from tests.chaos.zygote import Ended, Order, Signal, Zygote

COUNTS = {"api": 2, "relay": 2, "consumer": 2, "scheduler": 2}
PASSES_PER_DEATH = {"api": 50, "relay": 15, "consumer": 15, "scheduler": 15, "operator": 2}
"""How many failpoints a role passes, on average, for each at which it dies."""
PATIENCE_SECONDS = 30  # with a process that was told to stop
BREATH_SECONDS = 0.3  # before a process that ended by itself is started again


@dataclass(slots=True)
class Deaths:
    """Who died, and of what."""

    at_points: Counter[str] = field(default_factory=Counter)
    by_kill: Counter[str] = field(default_factory=Counter)
    by_role: Counter[str] = field(default_factory=Counter)
    stopped: Counter[str] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)

    def total(self) -> int:
        """Count all SIGKILLs."""
        return self.by_role.total()


class Fleet:
    """The processes.

    Args:
        zygote: Forks them.
        tally: Tells what they passed.
        folder: For their logs.
        kills_per_point: How often each failpoint is to kill; 0 for never.
        on_death: Told the process number of every process that was killed.
    """

    def __init__(
        self,
        zygote: Zygote,
        tally: Tally,
        folder: Path,
        *,
        kills_per_point: int,
        on_death: Callable[[int], None],
    ) -> None:
        self.deaths = Deaths()
        self.started: Counter[str] = Counter()
        self._zygote = zygote
        self._tally = tally
        self._folder = folder
        self._kills_per_point = kills_per_point
        self._on_death = on_death
        self._environ: Mapping[str, str] = {}
        self._running: dict[str, Order] = {}
        self._killed: set[str] = set()
        self._stopped: set[str] = set()
        self._ends: dict[str, asyncio.Future[int]] = {}
        self._is_closing = False
        self._commands = 0

    @property
    def names(self) -> list[str]:
        """Name the processes that are always there."""
        return [f"{role}-{number}" for role, count in COUNTS.items() for number in range(count)]

    def start(self, environ: Mapping[str, str]) -> None:
        """Start the service; the provider must run."""
        self._environ = environ
        for name in self.names:
            self._start(name)

    def start_provider(self, environ: Mapping[str, str]) -> None:
        """Start the provider, which nobody kills."""
        asyncio.get_running_loop().add_reader(self._zygote.connection.fileno(), self._hear)
        self._environ = environ
        self._start(PROVIDER)

    async def command(self, *arguments: str) -> int:
        """Run an operator's command; return its exit code."""
        self._commands += 1
        name = f"operator-{self._commands}"
        self._ends[name] = end = asyncio.get_running_loop().create_future()
        self._start(name, arguments)
        return await end

    def kill(self, name: str) -> None:
        """Have a process die at once."""
        self._killed.add(name)
        self._zygote.send(Signal(name, signal.SIGKILL))

    def stop(self, name: str) -> None:
        """Have a process end in good order; it is killed when it takes too long."""
        self._stopped.add(name)
        self._zygote.send(Signal(name, signal.SIGTERM))
        order = self._running.get(name)

        def lose_patience() -> None:
            if self._running.get(name) is order:
                self.kill(name)

        asyncio.get_running_loop().call_later(PATIENCE_SECONDS, lose_patience)

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """Stop the time of a process: it wakes up and believes that it still holds its leases."""
        self._zygote.send(Signal(name, signal.SIGSTOP))
        try:
            yield
        finally:
            self._zygote.send(Signal(name, signal.SIGCONT))

    def wanting(self) -> list[str]:
        """List the failpoints that have not killed often enough."""
        return [
            point
            for point in self._tally.points
            if self.deaths.at_points[point] < self._kills_per_point
        ]

    async def calm_down(self) -> None:
        """Start everything afresh, without traps."""
        self._kills_per_point = 0
        for name in self.names:
            self.kill(name)
        await asyncio.sleep(0)

    async def close(self) -> dict[str, int]:
        """End all processes in good order; return their exit codes."""
        self._is_closing = True
        loop = asyncio.get_running_loop()
        ends = {name: loop.create_future() for name in self.names if name in self._running}
        self._ends.update(ends)
        for name in ends:
            self.stop(name)
        codes = await asyncio.gather(*ends.values())
        return dict(zip(ends, codes, strict=True))

    def _start(self, name: str, arguments: tuple[str, ...] = ()) -> None:
        role, _, number = name.partition("-")
        slot = len(COUNTS) * 8 + self._commands % (SLOTS - len(COUNTS) * 8)
        if role in COUNTS:
            slot = list(COUNTS).index(role) * 8 + int(number)
        self._tally.prepare(slot)
        order = Order(
            name=name,
            slot=slot,
            role=role,
            environ=self._environ,
            log=self._folder / f"{name if role != 'operator' else role}.log",
            arguments=arguments,
            chances={} if role == PROVIDER else self._chances(role),
        )
        self._running[name] = order
        self.started[role] += 1
        self._zygote.send(order)

    def _chances(self, role: str) -> dict[str, float]:
        """Tell how probably a process dies at each point that wants kills.

        Rare points kill whenever they are passed, the others so seldom that all together make the
        deaths that the role may have: in proportion to its work, so that work gets done.
        """
        passed = {point: self._tally.passes(role, point) for point in self.wanting()}
        passes = sum(self._tally.passes(role, point) for point in self._tally.points)
        budget = passes / PASSES_PER_DEATH[role]
        share = 1.0  # of each point; what rare ones leave is for the others
        left = sorted(count for count in passed.values() if count)
        while left and (share := budget / len(left)) >= left[0]:
            budget -= left.pop(0)
        return {point: min(1.0, share / max(1, count)) for point, count in passed.items()}

    def _hear(self) -> None:
        try:
            while self._zygote.connection.poll():
                self._on_ended(self._zygote.connection.recv())
        except EOFError:
            asyncio.get_running_loop().remove_reader(self._zygote.connection.fileno())
            self.deaths.unexpected.append("the warm parent has died, and all processes with it")

    def _on_ended(self, ended: Ended) -> None:
        order = self._running.pop(ended.name)
        point = self._tally.last_word(order.slot)
        was_killed, was_stopped = ended.name in self._killed, ended.name in self._stopped
        self._killed.discard(ended.name)
        self._stopped.discard(ended.name)
        pause = 0.0
        if ended.code == -signal.SIGKILL and (point or was_killed):
            if point:
                self.deaths.at_points[point] += 1
            else:
                self.deaths.by_kill[order.role] += 1
            self.deaths.by_role[order.role] += 1
            self._on_death(ended.pid)
        elif was_stopped and ended.code in {0, -signal.SIGTERM}:
            self.deaths.stopped[order.role] += 1
        elif order.role != "operator":
            self.deaths.unexpected.append(f"{ended.name} ended by itself with {ended.code}")
            pause = BREATH_SECONDS
        future = self._ends.pop(ended.name, None)
        if future is not None and not future.done():
            future.set_result(ended.code)
        if order.role in COUNTS and not self._is_closing:
            asyncio.get_running_loop().call_later(pause, self._start, ended.name)
