"""A metric whose values are asked for when it is scraped, instead of being kept up to date."""

from collections.abc import Callable, Iterator, Mapping
from typing import Literal

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Read = Callable[[], Mapping[tuple[str, ...], int]]
"""Returns the present values by the values of the labels; it must not block."""


class Watched(Collector):
    """One family of series.

    Args:
        registry: Where to show it.
        name: Without `_total`, which a counter gets by itself.
        documentation: With the unit.
        kind: What it is.
        labels: Their names.
        read: Where the values come from; may be replaced.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        name: str,
        documentation: str,
        *,
        kind: Literal["counter", "gauge"],
        labels: tuple[str, ...],
        read: Read,
    ) -> None:
        self.read = read
        self._name = name
        self._documentation = documentation
        self._family = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
        self._labels = labels
        registry.register(self)

    def describe(self) -> Iterator[Metric]:
        """Name the family without reading it."""
        yield self._family(self._name, self._documentation, labels=self._labels)

    def collect(self) -> Iterator[Metric]:
        """Read the values."""
        family = self._family(self._name, self._documentation, labels=self._labels)
        for values, number in self.read().items():
            family.add_metric(values, number)
        yield family
