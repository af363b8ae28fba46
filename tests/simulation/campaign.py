"""Runs many schedules in several processes, and adds up what they came to."""

import gc
import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.simulation import marks
from tests.simulation.schedule import Outcome, run

CHUNK = 50  # schedules that a process runs between two reports


@dataclass(slots=True)
class Report:
    """What many schedules came to."""

    schedules: int = 0
    steps: int = 0
    kills: int = 0
    virtual_seconds: float = 0.0
    seconds: float = 0.0
    marks: Counter[str] = field(default_factory=Counter)
    violations: list[tuple[int, list[str]]] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count one schedule."""
        self.schedules += 1
        self.steps += outcome.steps
        self.virtual_seconds += outcome.seconds
        self.marks += outcome.marks
        if outcome.faults:
            self.violations.append((outcome.seed, outcome.faults))

    def join(self, other: "Report") -> None:
        """Count the schedules of another report."""
        self.schedules += other.schedules
        self.steps += other.steps
        self.virtual_seconds += other.virtual_seconds
        self.marks += other.marks
        self.violations += other.violations

    @property
    def missed(self) -> list[str]:
        """Name the rare states that were never reached."""
        return [mark for mark in marks.MUST_REACH if not self.marks[mark]]

    def line(self) -> str:
        """Say it in one line."""
        rate = self.schedules / self.seconds if self.seconds else 0.0
        return (
            f"{self.schedules} schedules, {len(self.violations)} with violations, "
            f"{self.marks['a process was killed']} kills, {self.steps} steps, "
            f"{self.virtual_seconds / 86400:.1f} virtual days, "
            f"{rate:.0f} schedules/s, {len(self.missed)} marks missed"
        )


def run_chunk(seeds: range) -> Report:
    """Run some schedules. Garbage is collected in between: it is made of worlds, in cycles."""
    gc.disable()
    report = Report()
    for seed in seeds:
        report.add(run(seed))
    gc.enable()
    gc.collect()
    return report


def run_many(first: int, schedules: int, processes: int) -> Iterator[Report]:
    """Run many schedules in several processes; yield the report as it grows."""
    started = time.monotonic()
    total = Report()
    last = first + schedules
    chunks = [range(low, min(low + CHUNK, last)) for low in range(first, last, CHUNK)]
    # What was imported stays: it need not be looked through with the garbage of every chunk.
    with multiprocessing.get_context("spawn").Pool(processes, initializer=gc.freeze) as pool:
        for report in pool.imap_unordered(run_chunk, chunks):
            total.join(report)
            total.seconds = time.monotonic() - started
            yield total
