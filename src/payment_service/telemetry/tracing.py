"""Traces: one payment is one trace, from the API request through the outbox to the consumer.

Nothing is traced unless OTEL_EXPORTER_OTLP_ENDPOINT is set. Then spans leave in batches, over HTTP,
and a dead collector costs nothing but its spans. The sampler is named by OTEL_TRACES_SAMPLER and
OTEL_TRACES_SAMPLER_ARG; by default the caller decides, else one trace in twenty is kept: logs and
metrics are whole either way. The trace travels as one W3C `traceparent`, in outbox rows and in the
headers of messages.

A message has a span of its own making (`create`), whose context it carries: whoever applies it
belongs to that trace, and the relay, which sends many at a time, links to it. Spans carry our ids
(`payment.id`), never what people wrote.

aiokafka is not instrumented on purpose: that library appends a second `traceparent` to messages
and so cuts the trace in two.

Source: OpenTelemetry semantic conventions 1.44: HTTP and database stable, messaging in development.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.trace import Link, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

QUEUE_MAX = 2048  # spans that wait for the collector; more are dropped
BATCH_MAX = 512
SCHEDULE_MS = 2_000
EXPORT_TIMEOUT_SECONDS = 5
FLUSH_TIMEOUT_MS = 3_000
SAMPLED_SHARE = 0.05  # every trace would cost a third of a webhook: make bench
LINKS_MAX = 128  # of one span, what the SDK keeps

_OFF: trace.Tracer = trace.NoOpTracer()
TRACER = _OFF  # until `configure`
_NOWHERE = Context()
_PROPAGATOR = TraceContextTextMapPropagator()  # and no baggage, which strangers could fill


def is_on(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether a collector is named."""
    return bool(environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"))


def configure(
    service_name: str, environ: Mapping[str, str] = os.environ, *, version: str = "", name: str = ""
) -> bool:
    """Export spans if a collector is named; return whether it is. Call once, before the engine.

    Args:
        service_name: What all our processes are.
        environ: Names the collector.
        version: Of the service.
        name: Of this process, unique among all.
    """
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
    resource = {
        "service.name": service_name,
        "service.version": version,
        "service.instance.id": name,
    }
    provider = TracerProvider(sampler=default_sampler(environ), resource=Resource.create(resource))
    provider.add_span_processor(
        BatchSpanProcessor(
            OTLPSpanExporter(timeout=EXPORT_TIMEOUT_SECONDS),
            max_queue_size=QUEUE_MAX,
            max_export_batch_size=BATCH_MAX,
            schedule_delay_millis=int(environ.get("OTEL_BSP_SCHEDULE_DELAY", SCHEDULE_MS)),
        )
    )
    trace.set_tracer_provider(provider)
    global TRACER  # noqa: PLW0603  # a process has one, as OpenTelemetry has one provider
    TRACER = provider.get_tracer("payment_service")
    return True


def default_sampler(environ: Mapping[str, str]) -> Any:
    """Return what decides which traces are kept; None leaves it to the SDK, which reads a name."""
    if environ.get("OTEL_TRACES_SAMPLER"):
        return None
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio  # noqa: PLC0415

    return ParentBasedTraceIdRatio(SAMPLED_SHARE)


def flush() -> None:
    """Send the spans that wait, within some seconds. Call at the end, outside the event loop."""
    provider = trace.get_tracer_provider()
    if hasattr(provider, "force_flush"):
        provider.force_flush(FLUSH_TIMEOUT_MS)


def trace_engines(*sync_engines: Any) -> None:
    """Make each SQL statement of some engines a span; nothing when off.

    All at once: of the engines that come later the library would take no notice.
    """
    if not is_on():
        return
    from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor  # noqa: PLC0415

    # It declares sqlalchemy <2.1 and would silently do nothing, but works with 2.1.
    SQLAlchemyInstrumentor().instrument(engines=list(sync_engines), skip_dep_check=True)


def trace_http_client(client: Any) -> None:
    """Make each call of an HTTPX client a span; nothing when off."""
    if not is_on():
        return
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor  # noqa: PLC0415

    HTTPXClientInstrumentor.instrument_client(client)


def headers() -> dict[str, str]:
    """Return the current trace as headers, to travel with a message; empty when there is none."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier


def current_traceparent() -> str | None:
    """Return the current trace as a W3C `traceparent`, 55 characters, if something is traced."""
    return headers().get("traceparent")


def kept_traceparent() -> str | None:
    """Return the current trace as a W3C `traceparent` if it is kept, else None."""
    return current_traceparent() if trace.get_current_span().is_recording() else None


def shared(name: str, traces: Sequence[str], *, by: int) -> AbstractContextManager[None]:
    """Trace a block that serves several requests: in the trace of the first, linked to the others.

    What many share is one span, without its statements: with one trace in twenty kept, nearly every
    full group has one, and all of its requests would pay for being looked at closely.

    Args:
        name: As of a span.
        traces: The `traceparent` of those that are kept; where there is none nothing is traced.
        by: How many requests.
    """
    if not traces:
        return nullcontext() if TRACER is _OFF else _Block(trace.INVALID_SPAN, is_leaf=True)
    first, *others = traces
    return span(name, parent=first, links=others[:LINKS_MAX], is_leaf=by > 1)


def message_headers(topic: str) -> dict[str, str]:
    """Return the headers of a message that is being made, from a span of its making."""
    if _is_let_go():
        return headers()
    with span(f"create {topic}", SpanKind.PRODUCER, attributes=_messaging("create", topic)):
        return headers()


@contextmanager
def sending(messages: Sequence[tuple[str, Mapping[str, str]]]) -> Iterator[None]:
    """Trace the sending of messages (topic and headers): one span a topic, linked to their traces.

    A span has one parent, and these messages come from many requests: hence links.
    """
    by_topic: dict[str, list[str]] = {}
    for topic, carried in messages:
        by_topic.setdefault(topic, []).append(carried.get("traceparent", ""))
    with ExitStack() as stack:
        for topic, links in by_topic.items():
            attributes = {**_messaging("send", topic), "messaging.batch.message_count": len(links)}
            stack.enter_context(
                span(
                    f"send {topic}",
                    SpanKind.CLIENT,
                    links=links[:LINKS_MAX],
                    attributes=attributes,
                )
            )
        yield


@contextmanager
def processing(topic: str, carried: Mapping[str, str]) -> Iterator[None]:
    """Trace the handling of a message, in the trace that it carries."""
    sent = carried.get("traceparent", "")
    with span(
        f"process {topic}",
        SpanKind.CONSUMER,
        parent=carried,
        links=[sent] if sent else (),
        attributes=_messaging("process", topic),
    ):
        yield


def mark(**ids: str | None) -> None:
    """Write ids on the current span, `payment_id` as `payment.id`; None is left out."""
    current = trace.get_current_span()
    if current.is_recording():
        for name, value in ids.items():
            if value is not None:
                current.set_attribute(name.replace("_", "."), value)


def exemplar() -> dict[str, str] | None:
    """Return what joins a measurement to its trace, if that is kept."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid or not context.trace_flags.sampled:
        return None
    return {"trace_id": f"{context.trace_id:032x}"}


def _messaging(operation: str, topic: str) -> dict[str, str | int]:
    return {
        "messaging.system": "kafka",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": topic,
    }


def span(
    name: str,
    kind: SpanKind = SpanKind.INTERNAL,
    *,
    parent: Mapping[str, str] | str | None = None,
    links: Sequence[str] = (),
    attributes: Mapping[str, str | int] | None = None,
    is_leaf: bool = False,
) -> AbstractContextManager[None]:
    """Trace a block.

    Args:
        name: Of few values: `process payments.webhooks`, never an id.
        kind: As OpenTelemetry defines it.
        parent: The trace to belong to, a `traceparent` or the headers of a message; what is no
            valid `traceparent` begins a new trace. None: the current trace.
        links: The `traceparent` of other traces that this span serves; others are left out.
        attributes: What to write on it from the start.
        is_leaf: What libraries do in the block is not traced.
    """
    if parent is None and _is_let_go():
        return nullcontext()
    linked = [trace.get_current_span(_extract(link)).get_span_context() for link in links]
    started = TRACER.start_span(
        name,
        context=_extract(parent) if parent is not None else None,
        kind=kind,
        links=[Link(context) for context in linked if context.is_valid],
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    )
    return _Block(started, is_leaf=is_leaf)


class _Block:
    """A block with its span.

    By hand: the library's context managers, one in the other, take longer than all else that sees.
    """

    __slots__ = ("_is_quiet", "_span", "_token")

    def __init__(self, started: trace.Span, *, is_leaf: bool) -> None:
        self._span = started
        # A trace that is not kept keeps its ids, for the logs; the libraries need not look at it.
        self._is_quiet = is_leaf or not started.is_recording()

    def __enter__(self) -> None:
        around = _QUIET if self._is_quiet else None
        self._token = attach(trace.set_span_in_context(self._span, around))

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, Exception):
            fail(error)
        detach(self._token)
        self._span.end()


def _quiet() -> Context:
    with suppress_instrumentation():
        return get_current()


_QUIET = _quiet()


def _is_let_go() -> bool:
    """Tell whether more spans would say nothing: none is made, or the current trace is not kept."""
    current = trace.get_current_span()
    if current.is_recording():
        return False
    return TRACER is _OFF or current.get_span_context().is_valid


def fail(error: Exception) -> None:
    """Write on the current span that its work failed, and by what kind of error.

    Its words may quote people or their money: they are in the log only, masked, under the same ids.
    """
    current = trace.get_current_span()
    if current.is_recording():
        current.set_attribute("error.type", type(error).__qualname__)
        current.set_status(StatusCode.ERROR)


def current_ids() -> tuple[str, str] | None:
    """Return the trace and span ids in hexadecimal, if something is being traced."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


def _extract(parent: Mapping[str, str] | str) -> Context:
    if not parent:
        return _NOWHERE
    carrier = {"traceparent": parent} if isinstance(parent, str) else parent
    # An empty context to start from: an invalid parent must not leave us under the current span.
    return _PROPAGATOR.extract(carrier, context=_NOWHERE)
