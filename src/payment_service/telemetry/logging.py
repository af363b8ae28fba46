"""Logs: one JSON object a line on standard output, from our code and from libraries alike.

An event is a constant name and fields: `log.info("payment.created", payment_id=...)`. Its keys are
`time` (RFC 3339, UTC), `level`, `logger` and `event`; `request_id`, `user_id`, `tenant_id` and what
else was bound; `trace_id` and `span_id` while something is traced; `exception`, a whole traceback.
Never bodies, tokens, account numbers or names of people: see `masking.py`.
"""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from types import MappingProxyType
from typing import Any, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, Processor

from payment_service.domain.clock import system_clock
from payment_service.telemetry import tracing
from payment_service.telemetry.lines import Gathered, Lines
from payment_service.telemetry.masking import mask_event, mask_exception

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
NOISY_PREFIXES = ("aiokafka", "asyncmy", "opentelemetry")
NOISE_WINDOW_SECONDS = 30.0
NOISE_KINDS_MAX = 200

# However low the level is set: these write whole statements, rows and addresses when they debug.
_LEAST = {"aiokafka": logging.WARNING, "asyncmy": logging.ERROR, "httpx": logging.WARNING,
          "httpcore": logging.WARNING, "aiosqlite": logging.WARNING, "sqlalchemy": logging.WARNING,
          "urllib3": logging.WARNING}  # fmt: skip

_LINE_ENDS = {0x85: r"\u0085", 0x2028: r"\u2028", 0x2029: r"\u2029"}

_encode = msgspec.json.Encoder(enc_hook=str).encode

# One variable of ours: structlog has one for each field, and each costs as much as all of these.
_BOUND: ContextVar[Mapping[str, str]] = ContextVar("log_fields", default=MappingProxyType({}))


def configure(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send every log of the process to a stream as JSON lines. May be called again.

    Args:
        level: One of `LEVELS`.
        stream: Standard output if None.

    Raises:
        ValueError: There is no such level.
    """
    if level not in LEVELS:
        raise ValueError(f"a log level is one of {', '.join(LEVELS)}")
    handler = logging.StreamHandler(Gathered(stream or sys.stdout))
    handler.addFilter(LimitNoise(time.monotonic))
    handler.setFormatter(formatter())
    _take_over(handler, level)
    structlog.configure(
        processors=processors(),
        logger_factory=lambda name: Lines(handler, name),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        cache_logger_on_first_use=False,
    )


def processors() -> list[Processor]:
    """List what turns an event of ours into its line."""
    return [*_shared(), _render]


def formatter() -> logging.Formatter:
    """Make what turns a record of a library into the same kind of line."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *_shared()],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _render],
    )


def get_logger(name: str) -> Any:
    """Return a logger: `log.info("payment.created", payment_id=...)`."""
    return structlog.stdlib.get_logger(name)


@contextmanager
def bound(**fields: str) -> Iterator[None]:
    """Add fields to every log line of a block, in this task and those it starts."""
    token = _bind(fields)
    try:
        yield
    finally:
        _BOUND.reset(token)


def bind(**fields: str) -> None:
    """Add fields to every following log line of this task."""
    _bind(fields)


def _bind(fields: EventDict) -> Token[Mapping[str, str]]:
    return _BOUND.set({**_BOUND.get(), **mask_event(None, "", fields)})


class LimitNoise(logging.Filter):
    """Lets one line of each kind through per `NOISE_WINDOW_SECONDS`, from libraries that repeat.

    A Kafka client writes about thirty lines a second while its broker is away. The next line that
    passes tells how many were left out.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether to write a line."""
        if not record.name.startswith(NOISY_PREFIXES):
            return True
        now = self._clock()
        kind = (record.name, str(record.msg))
        since, left_out = self._seen.get(kind, (float("-inf"), 0))
        if now - since < NOISE_WINDOW_SECONDS:
            self._seen[kind] = (since, left_out + 1)
            return False
        if len(self._seen) >= NOISE_KINDS_MAX:
            self._seen.clear()
        self._seen[kind] = (now, 0)
        if left_out:
            record.left_out = left_out
        return True


def _take_over(handler: logging.Handler, level: str) -> None:
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
    logging.getLogger("uvicorn.access").disabled = True  # the API logs requests itself
    for name, least in _LEAST.items():
        logging.getLogger(name).setLevel(max(least, root.level))
    logging.captureWarnings(capture=True)


def _shared() -> list[Processor]:
    return [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        mask_event,
        mask_exception,
        add_circumstances,
    ]


def add_circumstances(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Say when and where it happened; what is bound was masked when it was."""
    event.pop("color_message", None)  # uvicorn's words once more, for terminals
    event = {"time": system_clock(), **_BOUND.get(), **event}
    ids = tracing.current_ids()
    if ids is not None:
        event["trace_id"], event["span_id"] = ids
    return event


def _render(_logger: Any, _method: str, event: EventDict) -> str:
    try:
        line = _encode(event).decode()
    except (ValueError, TypeError):  # half a surrogate pair, for example
        return json.dumps(event, default=str)
    # JSON allows these three in strings, but some readers of logs end a line at them.
    return line if line.isascii() else line.translate(_LINE_ENDS)
