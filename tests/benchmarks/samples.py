"""What was measured, and what it says: samples of sides, and findings against targets."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One side in one round."""

    rate: float  # of operations a second
    cpu_us: float | None = None  # of the measured process, for an operation
    busy: float | None = None  # processors that were used: 1 is one, all of the time
    beside: float | None = None  # share of the others, where load and servers are, that was used
    p50_ms: float | None = None
    p99_ms: float | None = None


Measure = Literal["rate", "cpu_us", "busy", "beside", "p50_ms", "p99_ms"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A number over all rounds, and whether it is what we want. Without a bound it is told only."""

    what: str
    values: Sequence[float]
    unit: str = "x"
    at_least: float | None = None
    at_most: float | None = None

    @property
    def value(self) -> float:
        """The median."""
        return median(self.values)

    @property
    def target(self) -> str:
        """The bound, in words."""
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return "" if self.at_most is None else f"<= {self.at_most:g}"

    @property
    def is_reached(self) -> bool | None:
        """Whether the bound holds; None where there is none."""
        if self.at_least is not None:
            return self.value >= self.at_least
        return None if self.at_most is None else self.value <= self.at_most


@dataclass(slots=True)
class Section:
    """One piece of work, measured on some sides."""

    name: str
    title: str
    unit: str = "req/s"
    sides: dict[str, list[Sample]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    alarm: str = ""  # what must never be, however noisy the machine is

    def ratios(self, one: str, other: str, measure: Measure = "rate") -> list[float]:
        """Divide one side by the other, round by round: what disturbed a round disturbed both."""
        pairs = zip(self.measured(one, measure), self.measured(other, measure), strict=True)
        return [ours / theirs for ours, theirs in pairs]

    def measured(self, side: str, measure: Measure) -> list[float]:
        """List one number of a side, round by round."""
        values = [getattr(sample, measure) for sample in self.sides[side]]
        return [value for value in values if value is not None]


def percentile(times: Iterable[float], share: float) -> float:
    """Find the value that a share of all values does not exceed (nearest rank)."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, max(0, int(share * len(ordered) + 0.5) - 1))]
