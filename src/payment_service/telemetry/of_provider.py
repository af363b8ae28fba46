"""A metric whose first label is the provider, which is known: a process has one provider."""

from functools import cache
from typing import Generic, TypeVar, cast

from prometheus_client import Counter, Gauge, Histogram

_Metric = TypeVar("_Metric", bound=Counter | Gauge | Histogram)


class OfProvider(Generic[_Metric]):
    """A metric without its first label: the other labels' values name a series."""

    def __init__(self, metric: _Metric, provider: str) -> None:
        # Remembered: the library takes longer to find a series than to count in it.
        self._series = cache(lambda *values: cast("_Metric", metric.labels(provider, *values)))

    def labels(self, *values: str) -> _Metric:
        """Return the series of the other labels' values."""
        return self._series(*values)
