"""What all processes of a run share: one clock, and a count of the failpoints that they passed.

It lies in memory that was mapped before the first fork, so it costs no call and survives a kill.
"""

import mmap
import os
import random
import signal
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

ROLES = ("api", "relay", "consumer", "scheduler", "operator")
SLOTS = 64  # processes at a time


class SharedClock:
    """The time of service and provider: faster than the world's, and it can be set ahead."""

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._began = datetime.now(UTC)
        self._monotonic = time.monotonic()  # the same in all processes of a machine
        self._ahead = memoryview(mmap.mmap(-1, 8)).cast("d")

    def __call__(self) -> datetime:
        """Tell the time."""
        seconds = (time.monotonic() - self._monotonic) * self.speed + self._ahead[0]
        return self._began + timedelta(seconds=seconds)

    def advance(self, by: timedelta) -> None:
        """Set it ahead."""
        self._ahead[0] += by.total_seconds()

    def real_seconds_until(self, at: datetime) -> float:
        """Tell how long one has to wait in the world's time."""
        return max(0.0, (at - self()).total_seconds() / self.speed)


class Tally:
    """Counts how often processes of each role passed each failpoint, and remembers who died where.

    A process has a slot; what it writes there is its last word.
    """

    def __init__(self, points: Sequence[str]) -> None:
        self.points = tuple(points)
        self._numbers = {point: number for number, point in enumerate(self.points, start=1)}
        places = (len(self.points) + 1) * len(ROLES)
        self._passes = memoryview(mmap.mmap(-1, 4 * places)).cast("I")
        self._last_words = memoryview(mmap.mmap(-1, 4 * SLOTS)).cast("I")

    def passes(self, role: str, point: str) -> int:
        """Tell how often a role passed a point."""
        return self._passes[self._place(role, self._numbers[point])]

    def strangers(self) -> int:
        """Tell how often a point was passed that the scan had not found."""
        return sum(self._passes[self._place(role, 0)] for role in ROLES)

    def last_word(self, slot: int) -> str | None:
        """Name the failpoint at which the process in a slot died, if it did."""
        number = self._last_words[slot]
        return self.points[number - 1] if number else None

    def prepare(self, slot: int) -> None:
        """Clear a slot for the next process."""
        self._last_words[slot] = 0

    def note_pass(self, role: str, point: str) -> None:
        """Count a point that is passed; place 0 is for those that the scan did not find."""
        self._passes[self._place(role, self._numbers.get(point, 0))] += 1

    def note_death(self, slot: int, point: str) -> None:
        """Write a process's last word."""
        self._last_words[slot] = self._numbers[point]

    def _place(self, role: str, number: int) -> int:
        return ROLES.index(role) * (len(self.points) + 1) + number


class Trap:
    """What a process does at every failpoint: see `payment_service.failpoints.arm`.

    Args:
        tally: Where passes are counted.
        role: What the process does.
        slot: Where its last word goes.
        chances: How probably it dies at a point; at the others it does not.
    """

    def __init__(self, tally: Tally, role: str, slot: int, chances: Mapping[str, float]) -> None:
        self._tally = tally
        self._role = role
        self._slot = slot
        self._chances = chances
        self._random = random.Random()

    def __call__(self, point: str) -> None:
        """Count the point; perhaps die."""
        self._tally.note_pass(self._role, point)
        if self._random.random() < self._chances.get(point, 0.0):
            self._tally.note_death(self._slot, point)
            os.kill(os.getpid(), signal.SIGKILL)
