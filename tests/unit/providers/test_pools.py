"""Requests to a provider share few connections each, so that no pool has many to look through."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from payment_service.providers import pools
from payment_service.providers.exchange import connect
from payment_service.providers.pools import Pools

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
SECONDS = 30


class Server:
    """Answers when it is let; counts connections and requests."""

    def __init__(self) -> None:
        self.connections = 0
        self.requests = 0
        self.asked = asyncio.Condition()
        self.may_answer = asyncio.Event()
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until the client leaves."""
        self.connections += 1
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                async with self.asked:
                    self.requests += 1
                    self.asked.notify_all()
                await self.may_answer.wait()
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def wait_for(self, requests: int) -> None:
        """Return when so many have come."""
        async with asyncio.timeout(SECONDS), self.asked:
            await self.asked.wait_for(lambda: self.requests >= requests)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, backlog=256)
    server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    yield server
    listener.close()


@asynccontextmanager
async def client(server: Server) -> AsyncIterator[tuple[httpx.AsyncClient, Pools]]:
    async with connect(server.url, seconds=SECONDS) as http:
        transport = http._transport
        assert isinstance(transport, Pools)
        yield http, transport


async def test_requests_one_after_another_use_one_connection(server: Server) -> None:
    server.may_answer.set()
    async with client(server) as (http, _):
        for _ in range(5):
            assert (await http.get("/")).status_code == 200

    assert (server.requests, server.connections) == (5, 1)


async def test_no_pool_has_more_requests_than_another(server: Server) -> None:
    at_once = pools.POOLS * 4
    async with client(server) as (http, transport):
        asked = [asyncio.create_task(http.get("/")) for _ in range(at_once)]
        await server.wait_for(at_once)
        assert transport._busy == [4] * pools.POOLS
        server.may_answer.set()
        await asyncio.gather(*asked)

    assert transport._busy == [0] * pools.POOLS


async def test_what_finds_every_connection_taken_waits_for_one(server: Server) -> None:
    connections = pools.POOLS * pools.CONNECTIONS_EACH
    async with client(server) as (http, _):
        asked = [asyncio.create_task(http.get("/")) for _ in range(connections + 20)]
        await server.wait_for(connections)
        server.may_answer.set()
        answers = await asyncio.gather(*asked)

    assert {answer.status_code for answer in answers} == {200}
    assert server.connections == connections


async def test_a_request_that_fails_leaves_room_for_others(server: Server) -> None:
    server.may_answer.set()
    async with client(server) as (http, transport):
        for _ in range(3):
            with pytest.raises(httpx.ConnectError):
                await http.get("http://127.0.0.1:9/")
        gone = asyncio.create_task(http.get("/"))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)

        assert transport._busy == [0] * pools.POOLS
        assert (await http.get("/")).status_code == 200
