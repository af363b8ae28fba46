"""Traces: one payment is one trace, from the API request through the outbox to the consumer.

Nothing is traced unless OTEL_EXPORTER_OTLP_ENDPOINT is set. Then spans leave in batches, over HTTP,
and a dead collector costs nothing but its spans. The sampler is named by OTEL_TRACES_SAMPLER and
OTEL_TRACES_SAMPLER_ARG; by default the caller decides, else one trace in fifty is kept: logs and
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
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

from opentelemetry import trace
from opentelemetry.context import Context, attach
from opentelemetry.trace import Link, SpanContext, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from payment_service.telemetry.blocks import QUIET, Block, current

QUEUE_MAX = 2048  # spans that wait for the collector; more are dropped
BATCH_MAX = 512
SCHEDULE_MS = 2_000
EXPORT_TIMEOUT_SECONDS = 5
FLUSH_TIMEOUT_MS = 3_000
SAMPLED_SHARE = 0.02  # every trace would double what a webhook takes: make bench
LINKS_MAX = 128  # of one span, what the SDK keeps

_OFF: trace.Tracer = trace.NoOpTracer()
TRACER = _OFF  # until `configure`
SHARE: float | None = None  # of new traces, to keep; None: the SDK's sampler decides about all
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
    from opentelemetry.instrumentation.aiohttp_client import (  # noqa: PLC0415
        AioHttpClientInstrumentor,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http")
    resource = {
        "service.name": service_name,
        "service.version": version,
        "service.instance.id": name,
    }
    provider = TracerProvider(resource=Resource.create(resource))  # by the sampler of the settings
    provider.add_span_processor(
        BatchSpanProcessor(
            OTLPSpanExporter(timeout=EXPORT_TIMEOUT_SECONDS),
            max_queue_size=QUEUE_MAX,
            max_export_batch_size=BATCH_MAX,
            schedule_delay_millis=int(environ.get("OTEL_BSP_SCHEDULE_DELAY", SCHEDULE_MS)),
        )
    )
    trace.set_tracer_provider(provider)
    global TRACER, SHARE  # noqa: PLW0603  # a process has one, as OpenTelemetry has one provider
    TRACER = provider.get_tracer("payment_service")
    SHARE = own_share(environ)
    AioHttpClientInstrumentor().instrument()  # sessions that are opened from now on
    attach(QUIET)  # what belongs to no block of ours, such as looking for work, is nobody's trace
    return True


def own_share(environ: Mapping[str, str]) -> float | None:
    """Return the share of new traces to keep; None where the SDK decides, by the named sampler."""
    return None if environ.get("OTEL_TRACES_SAMPLER") else SAMPLED_SHARE


def flush() -> None:
    """Send the spans that wait, within some seconds. Call at the end, outside the event loop."""
    provider = trace.get_tracer_provider()
    if hasattr(provider, "force_flush"):
        provider.force_flush(FLUSH_TIMEOUT_MS)


def headers() -> dict[str, str]:
    """Return the current trace as headers, to travel with a message; empty when there is none."""
    block = current()
    return {} if block is None else dict(block.headers)


def current_traceparent() -> str | None:
    """Return the current trace as a W3C `traceparent`, 55 characters, if something is traced."""
    return headers().get("traceparent")


def kept_traceparent() -> str | None:
    """Return the current trace as a W3C `traceparent` if it is kept, else None."""
    return current_traceparent() if kept_span() is not None else None


def kept_span() -> trace.Span | None:
    """Return the span of the current block if its trace is kept, else None."""
    block = current()
    return None if block is None else block.kept


def shared(name: str, traces: Sequence[str], *, by: int) -> AbstractContextManager[None]:
    """Trace a block that serves several requests: in the trace of the first, linked to the others.

    What many share is one span, without its statements: with one trace in fifty kept, every other
    full group has one, and all of its requests would pay for being looked at closely.

    Args:
        name: As of a span.
        traces: The `traceparent` of those that are kept; where there is none nothing is traced.
        by: How many requests.
    """
    if not traces:
        return nullcontext() if TRACER is _OFF else Block()
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
    kept = kept_span()
    if kept is not None:
        for name, value in ids.items():
            if value is not None:
                kept.set_attribute(name.replace("_", "."), value)


def exemplar() -> dict[str, str] | None:
    """Return what joins a measurement to its trace, if that is kept."""
    block = current()
    if block is None or block.kept is None or block.ids is None:
        return None
    return {"trace_id": block.ids[0]}


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
    within = None if parent is None else _extract(parent)
    if SHARE is not None:
        above = None if within is None else _span_of(within)
        if not _is_kept(above, SHARE, is_root=parent is not None or kept_span() is None):
            return Block.let_go(above)
    linked = [_span_of(_extract(link)) for link in links]
    started = TRACER.start_span(
        name,
        context=within,
        kind=kind,
        links=[Link(context) for context in linked if context is not None],
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    )
    return Block.of_span(started, is_leaf=is_leaf)


def _is_let_go() -> bool:
    """Tell whether more spans would say nothing: none is made, or the current trace is not kept."""
    block = current()
    if block is None:
        return TRACER is _OFF
    return block.kept is None and (TRACER is _OFF or block.ids is not None)


def _is_kept(above: SpanContext | None, share: float, *, is_root: bool) -> bool:
    if above is not None:
        return above.trace_flags.sampled
    return not is_root or random.random() < share  # noqa: S311  # no secret


def fail(error: Exception) -> None:
    """Write on the current span that its work failed; see `Block.fail`."""
    block = current()
    if block is not None:
        block.fail(error)


def current_ids() -> tuple[str, str] | None:
    """Return the trace and span ids in hexadecimal, if something is being traced."""
    block = current()
    return None if block is None else block.ids


def _extract(parent: Mapping[str, str] | str) -> Context:
    if not parent:
        return _NOWHERE
    carrier = {"traceparent": parent} if isinstance(parent, str) else parent
    # An empty context to start from: an invalid parent must not leave us under the current span.
    return _PROPAGATOR.extract(carrier, context=_NOWHERE)


def _span_of(context: Context) -> SpanContext | None:
    found = trace.get_current_span(context).get_span_context()
    return found if found.is_valid else None
