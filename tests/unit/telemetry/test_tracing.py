"""One payment is one trace, across the outbox and the broker; and nothing at all when off."""

import io
import json
import logging
import re

import pytest
import structlog
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from payment_service.telemetry import logging as service_logging, request_spans, tracing
from tests.support.spans import trace_into_memory

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Trace into memory; the SDK decides what is kept."""
    return trace_into_memory(monkeypatch)


def test_without_a_collector_nothing_is_traced(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    app = object()

    assert tracing.configure("payment-service", {}) is False
    assert request_spans.trace_asgi(app) is app
    with tracing.span("work"):
        assert tracing.current_traceparent() is None
        assert tracing.current_ids() is None
        assert tracing.headers() == {}
    tracing.flush()


def test_a_span_belongs_to_the_trace_that_its_message_carries(spans: InMemorySpanExporter):
    with tracing.span("process", SpanKind.CONSUMER, parent={"traceparent": TRACEPARENT, "x": "y"}):
        pass
    with tracing.span("process", SpanKind.CONSUMER, parent=TRACEPARENT):
        pass

    for span in spans.get_finished_spans():
        assert f"{span.context.trace_id:032x}" == TRACE_ID
        assert f"{span.parent.span_id:016x}" == "00f067aa0ba902b7"
        assert span.kind is SpanKind.CONSUMER


def test_the_current_trace_goes_out_as_a_traceparent_and_comes_back(spans: InMemorySpanExporter):
    with tracing.span("create payments.events", SpanKind.PRODUCER):
        sent = tracing.current_traceparent()
        assert tracing.headers()["traceparent"] == sent
    with tracing.span("process payments.events", SpanKind.CONSUMER, parent=sent):
        pass

    create, process = spans.get_finished_spans()
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", sent)
    assert process.parent.span_id == create.context.span_id
    assert process.context.trace_id == create.context.trace_id


@pytest.mark.parametrize("bad", ["", "nonsense", "00-0-0-0", "\x00" * 55, "00-" + "0" * 52])
def test_an_invalid_traceparent_is_harmless(spans: InMemorySpanExporter, bad: str):
    with tracing.span("outer"), tracing.span("process", parent={"traceparent": bad}, links=[bad]):
        pass

    process, outer = spans.get_finished_spans()
    assert process.links == ()
    assert process.context.trace_id != outer.context.trace_id


def test_a_span_links_to_the_traces_that_it_serves(spans: InMemorySpanExporter):
    with tracing.span("send payments.events", SpanKind.CLIENT, links=[TRACEPARENT]):
        pass

    (span,) = spans.get_finished_spans()
    assert [f"{link.context.trace_id:032x}" for link in span.links] == [TRACE_ID]
    assert span.parent is None


@pytest.mark.usefixtures("spans")
def test_shared_work_is_in_the_first_trace_that_is_kept_and_linked_to_the_others(
    spans: InMemorySpanExporter,
):
    kept = []
    for name in ("a", "b"):
        with tracing.span(name):
            kept.append(tracing.kept_traceparent() or "")
    with tracing.shared("commit", kept, by=2):
        pass

    first, second, shared = spans.get_finished_spans()
    assert shared.context.trace_id == first.context.trace_id
    assert shared.parent.span_id == first.context.span_id
    assert [link.context.span_id for link in shared.links] == [second.context.span_id]


def test_shared_work_of_traces_that_are_not_kept_makes_no_span(spans: InMemorySpanExporter):
    not_kept = TRACEPARENT[:-2] + "00"
    with tracing.span("process", parent=not_kept):
        assert tracing.kept_traceparent() is None
    with tracing.shared("commit", [], by=1):
        assert not is_instrumentation_enabled()
    assert is_instrumentation_enabled()

    assert [span.name for span in spans.get_finished_spans() if span.name == "commit"] == []


@pytest.mark.parametrize("by", [1, 2])
@pytest.mark.usefixtures("spans")
def test_libraries_look_closely_only_at_what_one_request_has_for_itself(by: int):
    with tracing.span("request"):
        kept = [tracing.kept_traceparent() or ""]
    with tracing.shared("commit", kept, by=by):
        assert is_instrumentation_enabled() == (by == 1)


def test_log_lines_name_the_trace():
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    service_logging.configure("INFO", stream)
    try:
        with tracing.span("process", parent=TRACEPARENT):
            service_logging.get_logger("ours").info("e")
            logging.getLogger("theirs").warning("e")
    finally:
        root.handlers = handlers
        root.setLevel(level)
        logging.captureWarnings(capture=False)
        structlog.reset_defaults()

    for line in map(json.loads, stream.getvalue().splitlines()):
        assert line["trace_id"] == TRACE_ID
        assert re.fullmatch(r"[0-9a-f]{16}", line["span_id"])
