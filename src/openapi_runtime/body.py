"""Reads a request's body within a bound of its size; its time is bounded by `http_guard`."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from openapi_runtime.headers import Headers
from openapi_runtime.problems import Problem, ProblemType

JSON = "application/json"
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_LENGTH_DIGITS_MAX = 18  # longer ones are too large, and int() refuses thousands of digits


class ClientDisconnected(Exception):
    """The client left before its request was complete: there is nobody to answer."""


def refuse_media_type(headers: Headers, kinds: Mapping[str, ProblemType]) -> None:
    """Refuse what is declared to be something else than plain JSON, before it is read.

    Raises:
        Problem: UNSUPPORTED_MEDIA_TYPE.
    """
    if headers.get("content-length") == "0":
        return
    declared = headers.get("content-type")
    is_json = declared is None or media_type_of(declared) == JSON
    is_plain = headers.get("content-encoding", "identity").strip().lower() == "identity"
    if not is_json or not is_plain or headers.is_repeated("content-type"):
        raise Problem(kinds["UNSUPPORTED_MEDIA_TYPE"])


def media_type_of(content_type: str) -> str:
    """Return the media type without its parameters; JSON has none that means anything."""
    return content_type.split(";", 1)[0].strip().lower()


async def read(
    receive: Receive,
    content_length: str | None,
    *,
    max_bytes: int,
    kinds: Mapping[str, ProblemType],
) -> bytes:
    """Read a whole body.

    Raises:
        Problem: PAYLOAD_TOO_LARGE, before anything is read if the length is declared.
        ClientDisconnected: See there.
    """
    if content_length and _declares_more(content_length, max_bytes):
        raise _too_large(max_bytes, kinds)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(max_bytes, kinds)
        chunks.append(chunk)
        if not message.get("more_body"):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _declares_more(content_length: str, max_bytes: int) -> bool:
    # isdigit alone is true for a superscript two, which int() does not take.
    if not (content_length.isascii() and content_length.isdigit()):
        return False
    return len(content_length) > _LENGTH_DIGITS_MAX or int(content_length) > max_bytes


def _too_large(max_bytes: int, kinds: Mapping[str, ProblemType]) -> Problem:
    # The rest of the body is not read, so the connection cannot be used again.
    return Problem(kinds["PAYLOAD_TOO_LARGE"], headers={"connection": "close"}, max_bytes=max_bytes)
