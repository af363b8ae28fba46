"""Reads a request's body within bounds of size and time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from openapi_runtime.problems import Problem, ProblemType

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class ClientDisconnected(Exception):
    """The client left before its request was complete: there is nobody to answer."""


async def read(
    receive: Receive,
    content_length: str | None,
    *,
    max_bytes: int,
    timeout_seconds: float,
    kinds: Mapping[str, ProblemType],
) -> bytes:
    """Read a whole body.

    Raises:
        Problem: PAYLOAD_TOO_LARGE, before anything is read if the length is declared;
            REQUEST_TIMEOUT, when the whole body has not arrived in time.
        ClientDisconnected: See there.
    """
    if content_length and content_length.isdigit() and int(content_length) > max_bytes:
        raise _too_large(max_bytes, kinds)
    try:
        async with asyncio.timeout(timeout_seconds):
            return await _read(receive, max_bytes, kinds)
    except TimeoutError as error:
        headers = {"connection": "close"}
        raise Problem(kinds["REQUEST_TIMEOUT"], headers=headers) from error


async def _read(receive: Receive, max_bytes: int, kinds: Mapping[str, ProblemType]) -> bytes:
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


def _too_large(max_bytes: int, kinds: Mapping[str, ProblemType]) -> Problem:
    # The rest of the body is not read, so the connection cannot be used again.
    return Problem(kinds["PAYLOAD_TOO_LARGE"], headers={"connection": "close"}, max_bytes=max_bytes)
