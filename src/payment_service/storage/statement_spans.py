"""SQL statements as spans, where a trace is kept; elsewhere they are not looked at.

Ours, because OpenTelemetry's listener takes as long where nothing is kept: docs/decisions/0012.
Source: OpenTelemetry semantic conventions 1.44, database spans.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from opentelemetry.trace import Span, SpanKind, StatusCode
from sqlalchemy import Engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from payment_service.telemetry import tracing
from payment_service.telemetry.blocks import current

Attributes = dict[str, str | int]

STATEMENTS_MAX = 512  # whose summaries are remembered
_SPAN = "_payment_service_span"  # of an execution context, while its statement runs
_TARGET = re.compile(r"\b(?:FROM|INTO|UPDATE)\s+[`\"]?(\w+)", re.IGNORECASE)


def sessions(engine: AsyncEngine) -> Callable[[], AsyncSession]:
    """Return what opens sessions on an engine: where a trace is kept each statement is a span.

    There the same connections are used through a second engine, which is listened to: one listener,
    to whatever, delays every statement of its engine.
    """
    open_plain = async_sessionmaker(engine, expire_on_commit=False)
    if not tracing.is_on():
        return open_plain
    watched = engine.execution_options()
    _watch(watched.sync_engine)
    open_watched = async_sessionmaker(watched, expire_on_commit=False)

    def open_session() -> AsyncSession:
        block = current()
        return open_watched() if block is not None and block.is_looked_at else open_plain()

    return open_session


def _watch(engine: Engine) -> None:
    constant = _attributes(engine)

    @event.listens_for(engine, "before_cursor_execute")
    def begin(_connection: Any, _cursor: Any, statement: str, *rest: Any) -> None:
        summary = summary_of(statement)
        attributes = {**constant, "db.query.text": statement, "db.query.summary": summary,
                      "db.operation.name": summary.partition(" ")[0]}  # fmt: skip
        _, context, is_many = rest
        if is_many:
            attributes["db.operation.batch.size"] = len(context.compiled_parameters)
        started = tracing.TRACER.start_span(summary, kind=SpanKind.CLIENT, attributes=attributes)
        setattr(context, _SPAN, started)

    event.listen(engine, "after_cursor_execute", _end)
    event.listen(engine, "handle_error", _fail)


def _end(_connection: Any, _cursor: Any, _statement: str, *rest: Any) -> None:
    span = _taken(rest[1])
    if span is not None:
        span.end()


def _fail(failure: Any) -> None:
    span = _taken(failure.execution_context)
    if span is not None:
        # Its words hold values: they are in the log only, masked.
        span.set_attribute("error.type", type(failure.original_exception).__qualname__)
        span.set_status(StatusCode.ERROR)
        span.end()


def _taken(context: Any) -> Span | None:
    """Return the span of a statement, once."""
    span: Span | None = getattr(context, "__dict__", {}).pop(_SPAN, None)
    return span


def _attributes(engine: Engine) -> Attributes:
    url = engine.url
    told = {
        "db.system.name": engine.dialect.name,
        "db.namespace": url.database,
        "server.address": url.host,
        "server.port": url.port,
    }
    return {name: value for name, value in told.items() if value is not None}


@lru_cache(maxsize=STATEMENTS_MAX)
def summary_of(statement: str) -> str:
    """Say what a statement does, and to which table first: `SELECT payments`."""
    operation = statement.split(maxsplit=1)[:1]
    target = _TARGET.search(statement)
    return " ".join([each.upper() for each in operation] + ([target[1]] if target else []))
