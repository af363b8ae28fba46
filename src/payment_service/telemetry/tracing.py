"""Traces: one payment is one trace, from the API request through the outbox to the consumer.

Nothing is exported unless OTEL_EXPORTER_OTLP_ENDPOINT is set; then spans leave in batches, over
HTTP, and a dead collector costs nothing but its spans.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import propagate, trace
from opentelemetry.trace import SpanKind

TRACER = trace.get_tracer("payment_service")


def configure(service_name: str) -> None:
    """Export spans if a collector is named in the environment."""
    if not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return
    # Imported here: the SDK and its exporter are not needed, and not loaded, without a collector.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider = TracerProvider(resource=Resource.create({"service.name": service_name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def headers() -> dict[str, str]:
    """Return the current trace as headers, to travel with a message."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier


@contextmanager
def span(
    name: str, kind: SpanKind = SpanKind.INTERNAL, *, parent: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Trace a block; with `parent` (headers of a message) as part of the trace that sent it."""
    context = propagate.extract(parent) if parent else None
    with TRACER.start_as_current_span(name, context=context, kind=kind):
        yield


def current_ids() -> tuple[str, str] | None:
    """Return the trace and span ids in hexadecimal, if something is being traced."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"
