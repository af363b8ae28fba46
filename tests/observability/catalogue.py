"""The names of all series of a running process, read from the catalogue itself."""

import re

from prometheus_client import generate_latest

from payment_service.api.app import OPERATIONS
from payment_service.messaging.topics import TOPICS
from payment_service.storage import invariants
from payment_service.telemetry.metrics import Metrics

OURS = re.compile(r"\bpayments_[a-z0-9_]+")


def exposition() -> str:
    """Write what a process shows at its start."""
    metrics = Metrics(
        version="1",
        operations=OPERATIONS,
        topics=tuple(topic.name for topic in TOPICS),
        invariants=tuple(invariants.QUERIES),
    )
    metrics.watch_lag(lambda: {(TOPICS[0].name, 0): 0})
    return generate_latest(metrics.registry).decode()


def series() -> dict[str, set[str]]:
    """Read the series: their names, and the names of their labels."""
    found: dict[str, set[str]] = {}
    for line in exposition().splitlines():
        if not line.startswith("#"):
            name, _, labels = line.partition("{")
            names = set(re.findall(r'(\w+)="', labels))
            found.setdefault(name.split()[0], set()).update(names)
    return found
