"""A collector of traces: takes OTLP over HTTP as a real one does, and keeps the spans."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

KINDS = ("", "internal", "server", "client", "producer", "consumer")


@dataclass(frozen=True, slots=True)
class Span:
    """One span, as it came."""

    service: str
    process: str  # the instance that it comes from
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str  # empty for a root
    links: tuple[tuple[str, str], ...]  # trace and span
    attributes: dict[str, Any]
    status: int  # 0 unset, 1 ok, 2 error
    status_text: str
    events: tuple[tuple[str, dict[str, Any]], ...]
    started: int  # nanoseconds since 1970
    ended: int

    @property
    def milliseconds(self) -> float:
        """How long it took."""
        return (self.ended - self.started) / 1e6


class Collector:
    """What a collector has received."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._spans: list[Span] = []
        self._lock = threading.Lock()

    @property
    def environment(self) -> dict[str, str]:
        """The settings that make a process send its spans here, soon."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.url,
            "OTEL_TRACES_SAMPLER": "parentbased_always_on",
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }

    def spans(self) -> list[Span]:
        """List the spans received so far, by their beginning."""
        with self._lock:
            return sorted(self._spans, key=lambda span: span.started)

    def take(self, request: ExportTraceServiceRequest) -> None:
        """Keep the spans of a request."""
        read = [
            _span(span, _attributes(of_resource.resource.attributes))
            for of_resource in request.resource_spans
            for of_scope in of_resource.scope_spans
            for span in of_scope.spans
        ]
        with self._lock:
            self._spans.extend(read)


def _span(span: Any, resource: dict[str, Any]) -> Span:
    return Span(
        service=str(resource.get("service.name", "")),
        process=str(resource.get("service.instance.id", "")),
        name=span.name,
        kind=KINDS[span.kind],
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        attributes=_attributes(span.attributes),
        status=span.status.code,
        status_text=span.status.message,
        events=tuple((event.name, _attributes(event.attributes)) for event in span.events),
        started=span.start_time_unix_nano,
        ended=span.end_time_unix_nano,
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value")
            for pair in pairs}  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    collector: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        if self.path == "/v1/traces":
            self.collector.take(ExportTraceServiceRequest.FromString(body))
        answer = ExportTraceServiceResponse().SerializeToString()
        self.send_response(200 if self.path == "/v1/traces" else 404)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def running_collector() -> Iterator[Collector]:
    """Receive spans on a free port."""
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    collector = Collector(f"http://127.0.0.1:{server.server_address[1]}")
    handler.collector = collector
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
