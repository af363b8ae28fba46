"""A request to the console and its answer, on plain ASGI.

What a page elsewhere could make a browser send is refused here; what a browser could do with an
answer beyond showing it, the headers forbid.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import msgspec

BODY_BYTES_MAX = 4096
JSON = "application/json"
HTML = "text/html; charset=utf-8"
# Nothing but our own files, nothing inline, no frame, no form that leaves, no text into markup.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
GUARDS = {
    "cache-control": "no-store",
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}

T = TypeVar("T")


class Refused(Exception):
    """The request gets no more than a status and a sentence."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back."""

    status: int
    body: bytes = b""
    media_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


def told(content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Answer in JSON."""
    return Answer(status, msgspec.json.encode(content), JSON, headers or {})


class Call:
    """One request."""

    def __init__(self, scope: Mapping[str, Any], receive: Any) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        client = scope.get("client")
        self.source: str = client[0] if client else ""
        self._query: bytes = scope.get("query_string", b"")
        self._headers: dict[bytes, str] = {
            name: value.decode("latin-1") for name, value in scope["headers"]
        }
        self._receive = receive

    def parameter(self, name: str) -> str:
        """Read a value of the query; empty if there is none, or more than one."""
        try:
            found = parse_qs(self._query.decode("ascii"), errors="strict", max_num_fields=8)
        except ValueError as error:
            raise Refused(400, "The address cannot be read.") from error
        values = found.get(name, [])
        return values[0] if len(values) == 1 else ""

    def cookie(self, name: str) -> str:
        """Read a cookie; empty if there is none."""
        try:
            morsel = SimpleCookie(self._headers.get(b"cookie", "")).get(name)
        except CookieError:
            return ""
        return str(morsel.value) if morsel else ""

    def must_come_from_the_page(self) -> None:
        """Refuse what another page may have made the browser send.

        SameSite alone would not do: to it all ports of a host are one site, the simulator's pages
        for example. A browser lets no page choose its Origin, nor send JSON elsewhere unasked.
        """
        origin = urlsplit(self._header("origin"))
        if not origin.netloc or origin.netloc != self._header("host"):
            raise Refused(403, "Only the console's own page may do this.")
        if self._header("sec-fetch-site") not in {"", "same-origin"}:
            raise Refused(403, "Only the console's own page may do this.")
        if self._header("content-type").split(";")[0].strip().lower() != JSON:
            raise Refused(415, "The body must be JSON.")

    async def read(self, kind: type[T]) -> T:
        """Read the body."""
        body = b""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Refused(400, "The body is not complete.")
            body += bytes(message.get("body", b""))
            if len(body) > BODY_BYTES_MAX:
                raise Refused(413, "The body is too long.")
            if not message.get("more_body", False):
                break
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Refused(400, "The body is not what was expected.") from error

    def _header(self, name: str) -> str:
        return self._headers.get(name.encode(), "")


async def send_answer(send: Any, answer: Answer, *, is_head: bool) -> None:
    """Send an answer, guarded."""
    headers = {
        "content-type": answer.media_type,
        "content-length": str(len(answer.body)),
        **GUARDS,
        **answer.headers,
    }
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": raw})
    await send({"type": "http.response.body", "body": b"" if is_head else answer.body})
