"""Sends a request to a provider once, and answers "did it act?" for what goes wrong on the way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec

from payment_service import failpoints
from payment_service.providers.provider import (
    Operation,
    OutcomeUnknown,
    ProviderFailing,
    ProviderTimeout,
    RequestNotSent,
)
from payment_service.providers.transport import Transport
from payment_service.telemetry import tracing

CONNECT_TIMEOUT_SECONDS = 2.0
ANSWER_BYTES_MAX = 1024 * 1024


@asynccontextmanager
async def connect(base_url: str, *, seconds: float) -> AsyncIterator[httpx.AsyncClient]:
    """Open connections to a provider: traced, and led nowhere else by an answer or a variable.

    Args:
        base_url: Where it is.
        seconds: How long each wait for it may take.
    """
    async with httpx.AsyncClient(
        base_url=base_url,
        timeout=httpx.Timeout(seconds, connect=CONNECT_TIMEOUT_SECONDS),
        transport=Transport(),
        follow_redirects=False,
        trust_env=False,
    ) as http:
        tracing.trace_http_client(http)
        yield http


async def exchange(
    http: httpx.AsyncClient,
    request: httpx.Request,
    *,
    operation: Operation,
    provider: str,
    seconds: float,
) -> tuple[httpx.Response, bytes]:
    """Send a request, and read its answer whole.

    Args:
        http: Shared connections.
        request: What is sent.
        operation: What for.
        provider: Its name, as people write it.
        seconds: How long it may take, from the first byte to the last.

    Raises:
        RequestNotSent, ProviderTimeout, ProviderFailing, OutcomeUnknown: There is no answer.
    """
    try:
        async with asyncio.timeout(seconds):
            with failpoints.effect(f"provider.{operation}"):
                return await _send(http, request, provider)
    except httpx.ConnectError as error:
        raise RequestNotSent(f"{provider} cannot be reached") from error
    except (TimeoutError, httpx.TimeoutException) as error:
        raise ProviderTimeout(f"{provider} did not answer in time") from error
    except httpx.HTTPError as error:
        raise ProviderFailing(f"the connection to {provider} broke") from error


def read_object(response: httpx.Response, content: bytes, provider: str) -> dict[str, Any]:
    """Read an answer as a JSON object.

    Raises:
        ProviderFailing, OutcomeUnknown: It is none.
    """
    try:
        answer = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError) as error:
        # A page of whatever stands before them. With a 4xx it may be about this one request.
        kind = OutcomeUnknown if response.is_client_error else ProviderFailing
        raise kind(f"the answer of {provider} is not JSON") from error
    if not isinstance(answer, dict):
        raise OutcomeUnknown(f"the answer of {provider} is not an object")
    return answer


async def _send(
    http: httpx.AsyncClient, request: httpx.Request, provider: str
) -> tuple[httpx.Response, bytes]:
    response = await http.send(request, stream=True)
    try:
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > ANSWER_BYTES_MAX:
                raise OutcomeUnknown(f"the answer of {provider} is too large")
            chunks.append(chunk)
    finally:
        await response.aclose()
    return response, b"".join(chunks)
