"""What is traced now: the block of code that runs, with its span or with ids alone.

Only what is kept has a span. A trace that is not kept has ids, for the log lines and for whoever
comes next, and libraries do not look at it. By hand, because a span that nobody keeps and the
library's context managers would take longer than all else that sees: docs/decisions/0012.

Source: W3C Trace Context, version 00.
"""

import random
from contextvars import ContextVar
from typing import Self

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.trace import StatusCode

_NOT_KEPT = "00"  # the flags


class Block:
    """A block that belongs to a trace.

    Args:
        ids: Of its trace and of itself, in hexadecimal; None: of no trace.
        headers: What carries it to others.
        kept: Its span, if its trace is kept.
        is_leaf: What libraries do in it is not traced.
    """

    __slots__ = ("_is_leaf", "_outer", "_token", "headers", "ids", "kept")

    def __init__(
        self,
        ids: tuple[str, str] | None = None,
        headers: dict[str, str] | None = None,
        *,
        kept: trace.Span | None = None,
        is_leaf: bool = False,
    ) -> None:
        self.ids = ids
        self.headers = headers or {}
        self.kept = kept
        self._is_leaf = is_leaf

    @classmethod
    def of_span(cls, started: trace.Span, *, is_leaf: bool = False) -> Self:
        """Make the block of a span, which it will end."""
        context = started.get_span_context()
        if not context.is_valid:
            return cls()
        ids = f"{context.trace_id:032x}", f"{context.span_id:016x}"
        headers = _headers(ids, f"{context.trace_flags:02x}", context)
        kept = started if started.is_recording() else None
        return cls(ids, headers, kept=kept, is_leaf=is_leaf)

    @classmethod
    def let_go(cls, parent: trace.SpanContext | None) -> Self:
        """Make a block of a trace that is not kept: its parent's, or a new one."""
        drawn = f"{random.getrandbits(192):048x}"
        ids = drawn[:32] if parent is None else f"{parent.trace_id:032x}", drawn[32:]
        return cls(ids, _headers(ids, _NOT_KEPT, parent))

    @property
    def is_looked_at(self) -> bool:
        """Whether statements and calls in it are to be spans."""
        return self.kept is not None and not self._is_leaf

    def __enter__(self) -> None:
        self._outer = _CURRENT.set(self)
        around = _LOOKED_AT if self.is_looked_at else QUIET
        if self.kept is not None:
            around = trace.set_span_in_context(self.kept, around)
        self._token = attach(around)

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, Exception):
            self.fail(error)
        detach(self._token)
        _CURRENT.reset(self._outer)
        if self.kept is not None:
            self.kept.end()

    def fail(self, error: Exception) -> None:
        """Write on the span that its work failed, and by what kind of error.

        Its words may quote people or money: they are in the log only, masked, under the same ids.
        """
        if self.kept is not None:
            self.kept.set_attribute("error.type", type(error).__qualname__)
            self.kept.set_status(StatusCode.ERROR)


def current() -> Block | None:
    """Return the innermost block that runs now, if any is traced."""
    return _CURRENT.get()


def _headers(ids: tuple[str, str], flags: str, above: trace.SpanContext | None) -> dict[str, str]:
    carried = {"traceparent": f"00-{ids[0]}-{ids[1]}-{flags}"}
    if above is not None and above.trace_state:
        carried["tracestate"] = above.trace_state.to_header()
    return carried


def _quiet() -> Context:
    with suppress_instrumentation():
        return get_current()


# One variable, though OpenTelemetry has one, too: it is asked ten times a request.
_CURRENT: ContextVar[Block | None] = ContextVar("traced_block", default=None)
_LOOKED_AT = Context()
QUIET = _quiet()
"""The context of what no library shall trace."""
