"""What a dashboard is made of, in our words."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One picture: its series by their legends."""

    title: str
    series: Mapping[str, str]
    description: str = ""
    unit: str = "short"
    kind: str = "timeseries"  # stat, logs
    limit: float | None = None  # where the alert begins
    exemplars: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Panels side by side."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """A page."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...] = field(default_factory=tuple)
