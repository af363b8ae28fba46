"""Sends a request to a provider once, and answers "did it act?" for what goes wrong on the way."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import aiohttp
import certifi
import msgspec
from yarl import URL

from payment_service import failpoints
from payment_service.providers.provider import (
    Operation,
    OutcomeUnknown,
    ProviderFailing,
    ProviderTimeout,
    RequestNotSent,
)

CONNECTIONS_MAX = 96  # to one provider; more requests wait for one
ACQUIRE_SECONDS = 5.0  # to get one: a free one, or one that is looked up and made
CONNECT_SECONDS = 2.0  # to make one
KEPT_SECONDS = 30  # an idle connection
ANSWER_BYTES_MAX = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is sent, as it stands: nothing in it is encoded any more."""

    method: str
    target: str  # path and query
    headers: Mapping[str, str]
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """What was answered; headers are found by their names in any case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def is_success(self) -> bool:
        """2xx."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def is_client_error(self) -> bool:
        """4xx."""
        return HTTPStatus.BAD_REQUEST <= self.status < HTTPStatus.INTERNAL_SERVER_ERROR


class Connections:
    """Connections to a provider. An answer, or a variable, never leads them anywhere else.

    Args:
        session: Closed by its owner.
        provider: Its name, as people write it.
        base_url: Where it is.
    """

    def __init__(self, session: aiohttp.ClientSession, provider: str, base_url: str) -> None:
        self._session = session
        self._provider = provider
        self._base_url = base_url.rstrip("/")

    async def exchange(self, request: Request, *, operation: Operation, seconds: float) -> Response:
        """Send a request, and read its answer whole.

        Once, but for a GET: aiohttp repeats that when a kept connection turns out to be closed.

        Args:
            request: What is sent.
            operation: What for.
            seconds: How long it may take, from the first byte to the last.

        Raises:
            RequestNotSent, ProviderTimeout, ProviderFailing, OutcomeUnknown: There is no answer.
        """
        try:
            async with asyncio.timeout(seconds):
                with failpoints.effect(f"provider.{operation}"):
                    return await self._send(request)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise RequestNotSent(f"{self._provider} cannot be reached") from error
        except TimeoutError as error:
            raise ProviderTimeout(f"{self._provider} did not answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ProviderFailing(f"the connection to {self._provider} broke") from error

    async def _send(self, request: Request) -> Response:
        answer = await self._session.request(
            request.method,
            URL(self._base_url + request.target, encoded=True),
            data=request.body,
            headers=request.headers,
            allow_redirects=False,
        )
        try:
            chunks: list[bytes] = []
            size = 0
            async for chunk in answer.content.iter_any():
                size += len(chunk)
                if size > ANSWER_BYTES_MAX:
                    raise OutcomeUnknown(f"the answer of {self._provider} is too large")
                chunks.append(chunk)
        finally:
            answer.close()  # once it is read to its end the connection has gone back already
        return Response(answer.status, answer.headers, b"".join(chunks))


@asynccontextmanager
async def connect(provider: str, base_url: str) -> AsyncIterator[Connections]:
    """Open connections to a provider.

    Args:
        provider: Its name, as people write it.
        base_url: Where it is.
    """
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=CONNECTIONS_MAX,
            keepalive_timeout=KEPT_SECONDS,
            ssl=ssl.create_default_context(cafile=certifi.where()),
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(
            total=None,  # a call has its own
            connect=ACQUIRE_SECONDS,
            sock_connect=CONNECT_SECONDS,
        ),
    ) as session:
        yield Connections(session, provider, base_url)


def read_object(response: Response, provider: str) -> dict[str, Any]:
    """Read an answer as a JSON object.

    Raises:
        ProviderFailing, OutcomeUnknown: It is none.
    """
    try:
        answer = msgspec.json.decode(response.content)
    except (msgspec.DecodeError, RecursionError) as error:
        # A page of whatever stands before them. With a 4xx it may be about this one request.
        kind = OutcomeUnknown if response.is_client_error else ProviderFailing
        raise kind(f"the answer of {provider} is not JSON") from error
    if not isinstance(answer, dict):
        raise OutcomeUnknown(f"the answer of {provider} is not an object")
    return answer
