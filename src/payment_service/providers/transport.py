"""Carries the requests of HTTPX over aiohttp: half the processor time, however many are under way.

HTTPX's own pool looks through all of its connections for each request. The ready-made adapters are
no way out: they call a connection that was lost after the request a connection that was never made,
and the request would be sent again.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import aiohttp
import httpx

CONNECTIONS_MAX = 96  # to one provider; more requests wait for one
KEPT_SECONDS = 30  # an idle connection


class Transport(httpx.AsyncBaseTransport):
    """Connections to one provider. Make it inside a running loop."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=CONNECTIONS_MAX,
                keepalive_timeout=KEPT_SECONDS,
                ssl=httpx.create_ssl_context(trust_env=False),
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # HTTPX does that
            skip_auto_headers=("accept", "accept-encoding", "content-type", "user-agent"),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; return when the head of its answer is there.

        Once, but for a GET: aiohttp repeats that when a kept connection turns out to be closed.

        Raises:
            httpx.ConnectError: Nothing was sent.
            httpx.ReadTimeout, httpx.ReadError: It may have been received.
        """
        seconds = request.extensions["timeout"]
        with _translated():
            answer = await self._session.request(
                request.method,
                str(request.url),
                data=request.content or None,
                headers=request.headers.multi_items(),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    connect=seconds["pool"],
                    sock_connect=seconds["connect"],
                    sock_read=seconds["read"],
                ),
            )
        return httpx.Response(answer.status, headers=answer.raw_headers, stream=_Body(answer))

    async def aclose(self) -> None:
        """Close all connections."""
        await self._session.close()


class _Body(httpx.AsyncByteStream):
    """The body of an answer, as it comes."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _translated():
            async for chunk in self._answer.content.iter_any():
                yield chunk

    async def aclose(self) -> None:
        self._answer.close()  # once it is read to its end the connection has gone back already


@contextmanager
def _translated() -> Iterator[None]:
    """Say in HTTPX's words what went wrong: above all, whether anything can have been sent."""
    try:
        yield
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise httpx.ConnectError(str(error)) from error
    except TimeoutError as error:
        raise httpx.ReadTimeout(str(error)) from error
    except (aiohttp.ClientError, OSError) as error:
        raise httpx.ReadError(str(error)) from error
