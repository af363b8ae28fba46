"""Logs: one JSON object a line on standard output, from our code and from libraries alike.

An event is a constant name and fields. Never bodies, tokens, account numbers or names of people:
fields with such names are masked, whoever logs them.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor

from payment_service.telemetry import tracing

_SECRET_WORDS = (
    "authorization", "api_key", "checksum", "signature", "password", "secret", "token",
    "account_number", "account_name", "payload", "body", "credential",
)  # fmt: skip
_NOISY = {"aiokafka": logging.CRITICAL, "asyncmy": logging.ERROR, "httpx": logging.WARNING}


def configure(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send every log of the process to `stream` as JSON lines."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _add_trace,
        _mask,
        structlog.processors.format_exc_info,
    ]
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
    logging.getLogger("uvicorn.access").disabled = True  # the API logs requests itself
    for name, threshold in _NOISY.items():
        logging.getLogger(name).setLevel(threshold)
    structlog.configure(
        processors=[*shared[:1], structlog.stdlib.filter_by_level, *shared[1:],
                    structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )  # fmt: skip


def get_logger(name: str) -> Any:
    """Return a logger: `log.info("payment.created", payment_id=...)`."""
    return structlog.stdlib.get_logger(name)


@contextmanager
def bound(**fields: str) -> Iterator[None]:
    """Add fields to every log line of a block, in this task."""
    with structlog.contextvars.bound_contextvars(**fields):
        yield


def bind(**fields: str) -> None:
    """Add fields to every following log line of this task."""
    structlog.contextvars.bind_contextvars(**fields)


def _add_trace(_logger: Any, _method: str, event: EventDict) -> EventDict:
    ids = tracing.current_ids()
    if ids is not None:
        event["trace_id"], event["span_id"] = ids
    return event


def _mask(_logger: Any, _method: str, event: EventDict) -> EventDict:
    for name in event:
        if any(word in name.lower() for word in _SECRET_WORDS):
            event[name] = "***"
    return event
