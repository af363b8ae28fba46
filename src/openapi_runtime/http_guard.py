"""HTTP/1.1 as strictly as money needs it: uvicorn's protocol behind a guard.

As it comes, uvicorn takes a megabyte of headers, two Hosts, trailers as headers and HTTP/0.9, and
waits for ever for the rest of a request. What is refused here never reaches an application: it gets
a problem, after the answers that are still due on its connection, and the connection ends.
Source: RFC 9112 sections 2 to 7; uvicorn 0.54 and httptools 0.9, measured.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from openapi_runtime.gathered import GatheredTransport
from openapi_runtime.problems import Problem, ProblemType

_HOST = re.compile(rb"[A-Za-z0-9._\-\[\]:]{1,255}")
_VERSIONS = frozenset({"1.0", "1.1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one connection may ask for. Bytes are octets on the wire."""

    url_bytes: int = 8 * 1024
    header_bytes: int = 24 * 1024  # names and values together; a token may have 8 KiB
    header_count: int = 64
    body_bytes: int = 64 * 1024
    pipelined: int = 32  # requests that wait for an earlier answer
    connections: int = 4096
    head_seconds: float = 5.0  # from its first byte to its last
    body_seconds: float = 10.0  # from the end of the head
    unread_seconds: float = 20.0  # for a client that does not read its answers
    linger_seconds: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusals:
    """How refusals are told.

    Attributes:
        problem_types: The contract's catalogue.
        problem_base: Where the codes are documented.
        new_request_id: Names a request that has no name yet.
        on_refusal: Called with the kind of every refusal.
    """

    problem_types: Mapping[str, ProblemType]
    problem_base: str
    new_request_id: Callable[[], str]
    on_refusal: Callable[[ProblemType], None]


class _Phase(Enum):
    """What the next byte belongs to."""

    BETWEEN = "between requests"
    HEAD = "head"
    BODY = "body"


class _Refused(Exception):
    """Stops the parser: raised in its callbacks once the refusal is decided."""


def guarded(refusals: Refusals, limits: Limits | None = None) -> type[HttpToolsProtocol]:
    """Make the protocol class that uvicorn's `http` setting takes."""
    members = {"refusals": refusals, "limits": limits or Limits()}
    return type("Guarded", (Guard,), members)


class Guard(HttpToolsProtocol):
    """One connection."""

    refusals: Refusals
    limits: Limits

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._phase = _Phase.BETWEEN
        self._steps = 0  # changes of phase so far
        self._watched_step = -1
        self._raw_bytes = 0  # in this phase, not counting the read in which it began
        self._header_bytes = 0
        self._unanswered = 0
        self._is_over = False  # nothing more is read
        self._refusal: Problem | None = None  # to be told when nothing is unanswered
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    # What the transport calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        """Take a connection, unless there are too many."""
        super().connection_made(GatheredTransport(transport, self.loop))
        if len(self.connections) > self.limits.connections:
            self._refuse("OVERLOADED", "Too many connections.", retry_after="1")
            return
        # Whoever connects and says nothing is let go as one that has been quiet for long.
        self._deadline = self.loop.call_later(self.timeout_keep_alive, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._is_over = True
        self._cancel_deadline()
        self._cancel_unread()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, and give the client its time for what is missing."""
        if self._is_over:
            return
        self._unset_keepalive_if_required()
        step = self._steps
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # none is offered; the request itself is answered
        except httptools.HttpParserError:
            if not self._is_over:
                self._refuse("MALFORMED_REQUEST", "This is not HTTP/1.1.")
        if self._is_over:
            return
        if step == self._steps:
            self._count(len(data))
        if not self._is_over:
            self._watch()

    def pause_writing(self) -> None:
        """Notice that the client does not read."""
        super().pause_writing()
        self._expect_reading()

    def resume_writing(self) -> None:
        """Notice that it does."""
        self._cancel_unread()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """End a quiet connection."""
        super().timeout_keep_alive_handler()
        self._expect_reading()

    # What the parser calls

    def on_message_begin(self) -> None:
        """Begin a head."""
        self._enter(_Phase.HEAD)
        self._header_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Read a piece of the request's target."""
        super().on_url(url)
        if len(self.url) > self.limits.url_bytes:
            self._stop(f"The address is longer than {self.limits.url_bytes} bytes.")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Read a header field; after the body there are none."""
        if self._phase is _Phase.BODY:
            # A trailer would turn up among the headers: as an Authorization, as a key.
            self._stop("Trailer fields are not taken.")
        super().on_header(name, value)
        if len(self.headers) > self.limits.header_count:
            self._stop(f"There are more than {self.limits.header_count} header fields.")
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > self.limits.header_bytes:
            self._stop(f"The header fields are longer than {self.limits.header_bytes} bytes.")

    def on_headers_complete(self) -> None:
        """Judge the head, and hand the request on."""
        fault = _fault_of_head(self.parser.get_http_version(), self.url, self.headers)
        if fault is not None:
            self._stop(fault)
        if len(self.pipeline) >= self.limits.pipelined:
            self._stop(f"More than {self.limits.pipelined} requests wait for their answers.")
        length = next((value for name, value in self.headers if name == b"content-length"), b"0")
        if int(length) > self.limits.body_bytes:
            self._refuse_large()
            raise _Refused
        if self.parser.should_upgrade() and (int(length) or self._has_chunks()):
            # The parser would take the body for the next request.
            self._stop("A request with a body cannot ask for another protocol.")
        super().on_headers_complete()
        self._unanswered += 1
        self._enter(_Phase.BODY)

    def on_message_complete(self) -> None:
        """End a request."""
        self._enter(_Phase.BETWEEN)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request; or tell the refusal that had to wait for this answer."""
        self._unanswered -= 1
        super().on_response_complete()
        if self._is_over and not self._unanswered:
            self._end()
        elif self.transport.is_closing():
            self._expect_reading()

    def _has_chunks(self) -> bool:
        return any(name == b"transfer-encoding" for name, _ in self.headers)

    # Time and size

    def _enter(self, phase: _Phase) -> None:
        self._phase = phase
        self._steps += 1
        self._raw_bytes = 0

    def _count(self, size: int) -> None:
        """Count what the parser keeps to itself: unfinished fields, chunk extensions, CRLFs."""
        self._raw_bytes += size
        limits = self.limits
        if self._phase is _Phase.BODY:
            if self._raw_bytes > 2 * limits.body_bytes:
                self._refuse_large()
        elif self._raw_bytes > limits.url_bytes + limits.header_bytes:
            self._refuse("MALFORMED_REQUEST", "The head of the request is too long.")

    def _watch(self) -> None:
        """Start the clock for a phase that this read did not finish; more data does not stop it."""
        if self._phase is _Phase.BETWEEN and self._unanswered:
            self._cancel_deadline()  # it is our turn
        elif self._watched_step != self._steps or self._deadline is None:
            self._cancel_deadline()
            self._watched_step = self._steps
            limits = self.limits
            is_body = self._phase is _Phase.BODY
            seconds = limits.body_seconds if is_body else limits.head_seconds
            self._deadline = self.loop.call_later(seconds, self._time_out)

    def _time_out(self) -> None:
        self._deadline = None
        if self._phase is not _Phase.BODY and self._unanswered:
            self._watch()  # reading may have paused for an earlier answer: not the client's fault
        else:
            self._refuse("REQUEST_TIMEOUT", "The request did not arrive in time.")

    def _expect_reading(self) -> None:
        if self._unread is None:
            self._unread = self.loop.call_later(self.limits.unread_seconds, self.transport.abort)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _cancel_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    # Refusing

    def _stop(self, detail: str) -> None:
        self._refuse("MALFORMED_REQUEST", detail)
        raise _Refused

    def _refuse_large(self) -> None:
        limit = self.limits.body_bytes
        self._refuse(
            "PAYLOAD_TOO_LARGE", f"The body is longer than {limit} bytes.", max_bytes=limit
        )

    def _refuse(
        self, code: str, detail: str, *, retry_after: str | None = None, **members: Any
    ) -> None:
        headers = {"retry-after": retry_after} if retry_after else {}
        kind = self.refusals.problem_types[code]
        self._is_over = True
        self._cancel_deadline()
        if self._forget_unfinished():
            self._refusal = Problem(kind, detail, headers=headers, **members)
        self.refusals.on_refusal(kind)
        if not self._unanswered:
            self._end()

    def _forget_unfinished(self) -> bool:
        """Take back the request whose body is refused; tell whether the client needs an answer."""
        if self._phase is not _Phase.BODY:
            return True
        cycle = self.cycle  # the newest
        if self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()
        elif cycle.response_started:
            return False
        else:
            cycle.disconnected = True
            cycle.message_event.set()
        self._unanswered -= 1
        return True

    def _end(self) -> None:
        """Tell the refusal and close.

        A socket that is closed with something unread in it resets the connection, and the client
        may never see the answer. So only our half is closed, and the rest is read for a moment.
        """
        if self.transport.is_closing():
            return
        if self._refusal is not None:
            self.transport.write(self._render(self._refusal))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self._deadline = self.loop.call_later(self.limits.linger_seconds, self.transport.abort)

    def _render(self, problem: Problem) -> bytes:
        request_id = self.refusals.new_request_id()
        response = problem.render(request_id=request_id, type_base=self.refusals.problem_base)
        headers = response.headers | {
            "content-length": str(len(response.body)),
            "x-request-id": request_id,
            "connection": "close",
        }
        lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + response.body


def _fault_of_head(version: str, url: bytes, headers: list[tuple[bytes, bytes]]) -> str | None:
    """Find what the parser lets pass although two readers could understand it differently."""
    if version not in _VERSIONS:
        return "The protocol must be HTTP/1.1."
    if not url.startswith(b"/") or b"#" in url:
        return "The address must be a path of this server."
    hosts = [value for name, value in headers if name == b"host"]
    # HTTP/1.0 knows no Host, and health checks of load balancers still speak it.
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        return "There must be one Host."
    if hosts and not _HOST.fullmatch(hosts[0]):
        return "The Host is not a name or an address."
    codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
    if codings and (codings != [b"chunked"] or version == "1.0"):
        return "The only Transfer-Encoding is chunked."
    return None
