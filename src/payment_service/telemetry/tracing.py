"""Traces: one payment is one trace, from the API request through the outbox to the consumer.

Nothing is traced unless OTEL_EXPORTER_OTLP_ENDPOINT is set. Then spans leave in batches, over HTTP,
and a dead collector costs nothing but its spans. The sampler is named by OTEL_TRACES_SAMPLER and
OTEL_TRACES_SAMPLER_ARG (by default the caller decides, else all). The trace travels as one W3C
`traceparent`, in outbox rows and in the headers of messages.

aiokafka is not instrumented on purpose: that library appends a second `traceparent` to messages
and so cuts the trace in two.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind

QUEUE_MAX = 2048  # spans that wait for the collector; more are dropped
BATCH_MAX = 512
SCHEDULE_MS = 2_000
EXPORT_TIMEOUT_SECONDS = 5
FLUSH_TIMEOUT_MS = 3_000

TRACER = trace.get_tracer("payment_service")


def is_on(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether a collector is named."""
    return bool(environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"))


def configure(service_name: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Export spans if a collector is named; return whether it is. Call once, before the engine."""
    if not is_on(environ):
        return False
    # Imported here: the SDK and its exporter are not needed, and not loaded, without a collector.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http,database")
    provider = TracerProvider(resource=Resource.create({"service.name": service_name}))
    provider.add_span_processor(
        BatchSpanProcessor(
            OTLPSpanExporter(timeout=EXPORT_TIMEOUT_SECONDS),
            max_queue_size=QUEUE_MAX,
            max_export_batch_size=BATCH_MAX,
            schedule_delay_millis=SCHEDULE_MS,
        )
    )
    trace.set_tracer_provider(provider)
    return True


def flush() -> None:
    """Send the spans that wait, within some seconds. Call at the end, outside the event loop."""
    provider = trace.get_tracer_provider()
    if hasattr(provider, "force_flush"):
        provider.force_flush(FLUSH_TIMEOUT_MS)


def trace_asgi(app: Any) -> Any:
    """Wrap an ASGI application, so that each request is one span; unchanged when off."""
    if not is_on():
        return app
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware  # noqa: PLC0415

    return OpenTelemetryMiddleware(app, exclude_spans=["send", "receive"])


def trace_engine(sync_engine: Any) -> None:
    """Make each SQL statement of an engine a span; nothing when off."""
    if not is_on():
        return
    from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor  # noqa: PLC0415

    # It declares sqlalchemy <2.1 and would silently do nothing, but works with 2.1.
    SQLAlchemyInstrumentor().instrument(engine=sync_engine, skip_dep_check=True)


def trace_http_client(client: Any) -> None:
    """Make each call of an HTTPX client a span; nothing when off."""
    if not is_on():
        return
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor  # noqa: PLC0415

    HTTPXClientInstrumentor.instrument_client(client)


def headers() -> dict[str, str]:
    """Return the current trace as headers, to travel with a message; empty when there is none."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier


def current_traceparent() -> str | None:
    """Return the current trace as a W3C `traceparent`, 55 characters, if something is traced."""
    return headers().get("traceparent")


@contextmanager
def span(
    name: str,
    kind: SpanKind = SpanKind.INTERNAL,
    *,
    parent: Mapping[str, str] | str | None = None,
    links: Sequence[str] = (),
) -> Iterator[None]:
    """Trace a block.

    Args:
        name: Of few values: `process payments.webhooks`, never an id.
        kind: As OpenTelemetry defines it.
        parent: The trace to belong to, a `traceparent` or the headers of a message; what is no
            valid `traceparent` begins a new trace. None: the current trace.
        links: The `traceparent` of other traces that this span serves.
    """
    with TRACER.start_as_current_span(
        name,
        context=_extract(parent) if parent else None,
        kind=kind,
        links=[Link(trace.get_current_span(_extract(link)).get_span_context()) for link in links],
    ):
        yield


def current_ids() -> tuple[str, str] | None:
    """Return the trace and span ids in hexadecimal, if something is being traced."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


def _extract(parent: Mapping[str, str] | str) -> Context:
    carrier = {"traceparent": parent} if isinstance(parent, str) else parent
    # An empty context to start from: an invalid parent must not leave us under the current span.
    return propagate.extract(carrier, context=Context())
