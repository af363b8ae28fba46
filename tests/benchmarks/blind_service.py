"""`python -m tests.benchmarks.blind_service api`: the service without log lines and metrics.

There is no such setting, and no need for one: it is what telemetry is measured against.
"""

import sys
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

from payment_service.cli import main
from payment_service.telemetry import logging


def count_nothing() -> None:
    """Take the metrics out."""
    for kind in (Counter, Gauge, Histogram):
        for method in ("labels", "inc", "set", "observe"):
            if hasattr(kind, method):
                setattr(kind, method, lambda metric, *_: metric)


def say_nothing() -> None:
    """Take the log lines out, but for those that tell of an end."""
    configure = logging.configure

    def configure_silence(_level: str = "", *more: Any) -> None:
        configure("CRITICAL", *more)

    logging.configure = configure_silence


if __name__ == "__main__":
    count_nothing()
    say_nothing()
    sys.exit(main())
