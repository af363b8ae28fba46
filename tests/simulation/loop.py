"""An event loop without threads, sockets or waiting: time is a number, chance picks who goes on.

Among the callbacks that are ready any may run next, which is more than asyncio promises and all
that a network may do. When none is ready, time jumps to the next timer.
"""

import asyncio
import heapq
from collections.abc import Generator
from random import Random
from types import coroutine
from typing import Any

STEPS_MAX = 500_000


class NeverEnds(Exception):
    """The schedule makes no progress: nothing is ready and no timer runs, or it has no end."""


class VirtualLoop(asyncio.BaseEventLoop):
    """A loop for one schedule; `random` decides all that is open."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._chance = random.random
        self._now = 0.0
        self.steps = 0

    def time(self) -> float:
        """Return the seconds that have passed in this schedule."""
        return self._now

    def next_timer(self) -> float:
        """Return the time at which somebody goes on, if nobody else does before."""
        return min(
            (each._when for each in self._scheduled if not each._cancelled), default=self._now
        )

    def call_exception_handler(self, _context: dict[str, Any]) -> None:
        """Say nothing: tasks of killed processes leave exceptions behind."""

    def _run_once(self) -> None:
        ready, chance = self._ready, self._chance
        while not self._stopping:
            if not ready:
                self._pass_time()
            count = len(ready)
            if count > 1:
                chosen = int(chance() * count)
                ready[0], ready[chosen] = ready[chosen], ready[0]
            handle = ready.popleft()
            if not handle._cancelled:
                self.steps += 1
                handle._run()
        if self.steps > STEPS_MAX:
            raise NeverEnds(f"{STEPS_MAX} steps")

    def _pass_time(self) -> None:
        if self.steps > STEPS_MAX:
            raise NeverEnds(f"{STEPS_MAX} steps")
        timers = self._scheduled
        while timers and timers[0]._cancelled:
            heapq.heappop(timers)._scheduled = False
        if not timers:
            raise NeverEnds("everybody waits for somebody")
        self._now = max(self._now, timers[0]._when)
        while timers and timers[0]._when <= self._now:
            timer = heapq.heappop(timers)
            timer._scheduled = False
            self._ready.append(timer)

    def _process_events(self, _events: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody calls from another thread."""


@coroutine
def turn() -> Generator[None]:
    """Let everybody else go first, if chance wants it so."""
    yield
