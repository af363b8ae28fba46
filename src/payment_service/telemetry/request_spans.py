"""Requests as spans, named by the template of their path.

Ours, because OpenTelemetry's middleware costs more than all else that sees: docs/decisions/0012.
Source: OpenTelemetry semantic conventions 1.44, HTTP.
"""

from typing import Any

from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from payment_service.telemetry import tracing

_TRACE_HEADERS = frozenset({b"traceparent", b"tracestate"})
_METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}
)
_SERVER_ERROR = 500


def trace_asgi(app: Any) -> Any:
    """Wrap an ASGI application, so that each request is one span; unchanged when off."""
    if not tracing.is_on():
        return app

    async def traced(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in _METHODS else None
        with tracing.span(method or "HTTP", SpanKind.SERVER, parent=_carried(scope)):
            current = tracing.kept_span()
            if current is None:
                await app(scope, receive, send)
                return
            current.set_attributes(_request_attributes(scope, method))

            async def tell(message: Any) -> None:
                if message["type"] == "http.response.start":
                    _tell_status(current, message["status"])
                await send(message)

            await app(scope, receive, tell)

    return traced


def _carried(scope: Any) -> dict[str, str]:
    """Pick the caller's trace out of a request; nothing else that strangers send travels on."""
    return {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in scope["headers"]
        if name in _TRACE_HEADERS
    }


def _request_attributes(scope: Any, method: str | None) -> dict[str, str | int]:
    """Say what is known before the route is.

    The path and the query are strangers' text, the client's address is a person's: left out.
    """
    attributes: dict[str, str | int] = {
        "http.request.method": method or "_OTHER",
        "network.protocol.version": scope.get("http_version", ""),
        "url.scheme": scope.get("scheme", ""),
    }
    if scope.get("server"):
        host, port = scope["server"]
        attributes |= {"server.address": host, "server.port": port or 0}
    return attributes


def _tell_status(current: trace.Span, status: int) -> None:
    current.set_attribute("http.response.status_code", status)
    if status >= _SERVER_ERROR:
        current.set_attribute("error.type", str(status))
        current.set_status(StatusCode.ERROR)


def name_request(method: str, route: str) -> None:
    """Name the span of the present request by its template."""
    current = tracing.kept_span()
    if current is not None:
        current.update_name(f"{method} {route}")
        current.set_attribute("http.route", route)
