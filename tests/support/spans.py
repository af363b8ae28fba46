"""Spans that stay in memory, to be looked at."""

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from payment_service.telemetry import tracing


def trace_into_memory(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Trace, for one test. The global provider can be set once only, so the tracer is exchanged."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "TRACER", provider.get_tracer("test"))
    return exporter
