"""Spans that stay in memory, to be looked at."""

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from payment_service.telemetry import tracing


def trace_into_memory(
    monkeypatch: pytest.MonkeyPatch, *, share: float | None = None
) -> InMemorySpanExporter:
    """Trace, for one test. The global provider can be set once only, so the tracer is exchanged.

    Args:
        monkeypatch: Of the test.
        share: Of new traces, to keep; the SDK decides if None.
    """
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "TRACER", provider.get_tracer("test"))
    monkeypatch.setattr(tracing, "SHARE", share)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    return exporter
