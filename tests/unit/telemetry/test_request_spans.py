"""A request is one span: in its caller's trace, and with nothing in it that strangers wrote."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from payment_service.telemetry import blocks, request_spans, tracing
from tests.support.spans import trace_into_memory

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
KEPT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
NOT_KEPT = f"00-{TRACE_ID}-00f067aa0ba902b7-00"
STRANGE = "canary"

Serve = Callable[[Any, Any, Any], Awaitable[None]]


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Trace into memory, with the default sampling."""
    return trace_into_memory(monkeypatch, share=tracing.SAMPLED_SHARE)


def serving(status: int, look: Callable[[], Any] = lambda: None) -> tuple[Serve, list[Any]]:
    """Make an application that answers with a status, and notes what it sees while it does."""
    seen: list[Any] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        seen.append(look())
        request_spans.name_request("GET", "/v1/payments/{payment_id}")
        await send({"type": "http.response.start", "status": status, "headers": []})

    return app, seen


def request(app: Serve, *, method: str = "GET", **headers: str) -> None:
    """Send one request with everything in it that a stranger may choose."""
    scope = {
        "type": "http", "method": method, "path": f"/v1/{STRANGE}", "query_string": b"a=canary",
        "http_version": "1.1", "scheme": "http", "server": ("payments.test", 8000),
        "client": ("203.0.113.9", 4711),
        "headers": [(b"user-agent", b"canary"), (b"baggage", b"who=canary"),
                    *((name.encode(), value.encode()) for name, value in headers.items())],
    }  # fmt: skip

    async def send(_message: Any) -> None:
        pass

    asyncio.run(request_spans.trace_asgi(app)(scope, None, send))


def only(spans: InMemorySpanExporter) -> ReadableSpan:
    (span,) = spans.get_finished_spans()
    return span


def test_a_request_belongs_to_its_caller_s_trace(spans: InMemorySpanExporter) -> None:
    app, _ = serving(200)

    request(app, traceparent=KEPT)

    span = only(spans)
    assert (span.name, span.kind) == ("GET /v1/payments/{payment_id}", SpanKind.SERVER)
    assert f"{span.context.trace_id:032x}" == TRACE_ID
    assert f"{span.parent.span_id:016x}" == "00f067aa0ba902b7"
    assert dict(span.attributes) == {
        "http.request.method": "GET", "http.route": "/v1/payments/{payment_id}",
        "http.response.status_code": 200, "network.protocol.version": "1.1",
        "url.scheme": "http", "server.address": "payments.test", "server.port": 8000,
    }  # fmt: skip
    assert span.status.status_code is StatusCode.UNSET


def test_nothing_that_a_stranger_wrote_is_kept_or_sent_on(spans: InMemorySpanExporter) -> None:
    app, seen = serving(404, lambda: (baggage.get_all(), tracing.headers()))

    request(app, method="CANARY", traceparent=KEPT)

    assert seen[0][0] == {}
    assert set(seen[0][1]) == {"traceparent"}
    told = only(spans).to_json()
    assert STRANGE not in told.lower()
    assert "203.0.113.9" not in told, "an address is personal"
    assert only(spans).attributes["http.request.method"] == "_OTHER"


def test_only_what_we_did_wrong_is_an_error(spans: InMemorySpanExporter) -> None:
    for status in (499, 500):
        request(serving(status)[0], traceparent=KEPT)

    theirs, ours = spans.get_finished_spans()
    assert (theirs.status.status_code, theirs.attributes.get("error.type")) == (
        StatusCode.UNSET, None
    )  # fmt: skip
    assert (ours.status.status_code, ours.attributes["error.type"]) == (StatusCode.ERROR, "500")


def test_a_failure_is_told_by_its_kind_not_by_its_words(spans: InMemorySpanExporter) -> None:
    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        raise LookupError(STRANGE)

    with pytest.raises(LookupError):
        request(app, traceparent=KEPT)

    span = only(spans)
    assert (span.status.status_code, span.attributes["error.type"]) == (
        StatusCode.ERROR, "LookupError"
    )  # fmt: skip
    assert span.events == ()
    assert STRANGE not in span.to_json()


def test_a_trace_that_is_not_kept_still_has_its_ids(spans: InMemorySpanExporter) -> None:
    """So that log lines join, and the next process decides alike; libraries need not look."""

    def look() -> Any:
        with tracing.span("work below"):
            return tracing.current_ids(), tracing.headers(), is_instrumentation_enabled()

    app, seen = serving(500, look)

    request(app, traceparent=NOT_KEPT)

    (ids, headers, are_libraries_on), = seen  # fmt: skip
    assert ids is not None
    assert ids[0] == TRACE_ID
    assert headers["traceparent"] == f"00-{TRACE_ID}-{ids[1]}-00"
    assert not are_libraries_on
    assert spans.get_finished_spans() == ()
    assert is_instrumentation_enabled()
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_one_new_trace_in_fifty_is_kept(
    spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter([n / 4000 for n in range(4000)])
    monkeypatch.setattr(blocks.random, "random", lambda: next(drawn))
    app, _ = serving(200)

    for _ in range(4000):
        request(app)

    assert len(spans.get_finished_spans()) == 4000 / 50


@pytest.mark.parametrize(("sampler", "kept"), [("", 0), ("always_on", 1)])
def test_the_operator_may_decide(
    spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch, sampler: str, kept: int
) -> None:
    monkeypatch.setattr(blocks.random, "random", lambda: 0.999)
    monkeypatch.setattr(tracing, "SHARE", tracing.own_share({"OTEL_TRACES_SAMPLER": sampler}))
    app, _ = serving(200)

    request(app)

    assert len(spans.get_finished_spans()) == kept


@pytest.mark.parametrize("bad", ["nonsense", "00-" + "0" * 32 + "-00f067aa0ba902b7-01"])
def test_whoever_sends_no_trace_does_not_decide(
    spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch, bad: str
) -> None:
    monkeypatch.setattr(blocks.random, "random", lambda: 0.999)
    app, _ = serving(200)

    request(app, traceparent=bad)

    assert spans.get_finished_spans() == ()
