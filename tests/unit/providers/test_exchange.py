"""Requests to a provider: few connections, and of each failure whether anything was sent."""

import asyncio
import contextlib
import gzip
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from payment_service.providers import exchange
from payment_service.providers.exchange import Connections, Request, Response, connect
from payment_service.providers.provider import (
    Operation,
    OutcomeUnknown,
    ProviderFailing,
    ProviderTimeout,
    RequestNotSent,
)
from tests.support.certificates import certify

HEAD_END = b"\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
SECONDS = 30


class Server:
    """Says to each request what it is told to; counts connections and keeps what it was sent."""

    def __init__(self) -> None:
        self.connections = 0
        self.requests: list[bytes] = []
        self.asked = asyncio.Condition()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.answer = ANSWER
        self.hangs_up = False
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until somebody leaves."""
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(HEAD_END)
                async with self.asked:
                    self.requests.append(head)
                    self.asked.notify_all()
                await self.may_answer.wait()
                writer.write(self.answer)
                if self.hangs_up:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    async def wait_for(self, requests: int) -> None:
        """Return when so many have come."""
        async with asyncio.timeout(SECONDS), self.asked:
            await self.asked.wait_for(lambda: len(self.requests) >= requests)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, backlog=256)
    server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    yield server
    listener.close()


@pytest.fixture
async def http(server: Server) -> AsyncIterator[Connections]:
    async with connect("them", server.url) as http:
        yield http


async def get(http: Connections) -> Response:
    """Read."""
    request = Request(method="GET", target="/", headers={})
    return await http.exchange(request, operation=Operation.GET, seconds=SECONDS)


async def post(http: Connections, *, seconds: float = SECONDS) -> Response:
    """Change something."""
    request = Request(method="POST", target="/", headers={}, body=b"{}")
    return await http.exchange(request, operation=Operation.CREATE, seconds=seconds)


async def take_all_connections(server: Server, http: Connections) -> list[asyncio.Task[Response]]:
    """Have as many requests under way as there may be connections."""
    server.may_answer.clear()
    asked = [asyncio.create_task(get(http)) for _ in range(exchange.CONNECTIONS_MAX)]
    await server.wait_for(len(asked))
    return asked


async def test_requests_one_after_another_use_one_connection(
    server: Server, http: Connections
) -> None:
    for _ in range(5):
        assert (await get(http)).status == 200

    assert (len(server.requests), server.connections) == (5, 1)


async def test_what_finds_every_connection_taken_waits_for_one(
    server: Server, http: Connections
) -> None:
    server.may_answer.clear()
    count = exchange.CONNECTIONS_MAX
    asked = [asyncio.create_task(get(http)) for _ in range(count + 20)]
    await server.wait_for(count)
    server.may_answer.set()
    answers = await asyncio.gather(*asked)

    assert {answer.status for answer in answers} == {200}
    assert server.connections == count


async def test_a_wait_for_a_connection_that_is_too_long_sent_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "CONNECTIONS_MAX", 1)
    monkeypatch.setattr(exchange, "ACQUIRE_SECONDS", 0.5)
    async with connect("them", server.url) as http:
        (asked,) = await take_all_connections(server, http)

        with pytest.raises(RequestNotSent):
            await post(http)
        server.may_answer.set()
        await asked

    assert len(server.requests) == 1


async def test_a_request_goes_out_as_it_was_made(server: Server, http: Connections) -> None:
    headers = {"x-key": "1", "user-agent": "us", "content-type": "application/json"}
    request = Request(method="POST", target="/a%20b?q=c+d%2F", headers=headers, body=b"{}")
    await http.exchange(request, operation=Operation.CREATE, seconds=SECONDS)

    first, *lines = server.requests[0].decode().split("\r\n")
    sent = dict(line.lower().split(": ", 1) for line in lines if line)
    added = {name: sent.pop(name) for name in ("accept", "accept-encoding", "host")}
    assert first == "POST /a%20b?q=c+d%2F HTTP/1.1"
    assert sent == headers | {"content-length": "2"}
    assert added["host"] == server.url.removeprefix("http://")


async def test_nobody_there_means_that_nothing_was_sent() -> None:
    async with connect("them", "http://127.0.0.1:1") as http:
        with pytest.raises(RequestNotSent):
            await post(http)


async def test_a_name_that_leads_nowhere_means_that_nothing_was_sent() -> None:
    async with connect("them", "http://nowhere.invalid") as http:
        with pytest.raises(RequestNotSent):
            await post(http)


async def test_a_certificate_that_nobody_vouches_for_means_that_nothing_was_sent(
    tmp_path: Path,
) -> None:
    keystore, _ = certify(tmp_path, "stranger")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(keystore)
    stranger = Server()
    async with await asyncio.start_server(stranger.serve, "127.0.0.1", 0, ssl=tls) as listener:
        port = listener.sockets[0].getsockname()[1]
        async with connect("them", f"https://127.0.0.1:{port}") as http:
            with pytest.raises(RequestNotSent) as caught:
                await post(http)

    assert "certificate" in str(caught.value.__cause__)
    assert stranger.requests == []


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
    ],
    ids=["nothing", "half a line", "too short", "no end", "no chunk", "not HTTP", "a long header"],
)
async def test_an_answer_that_breaks_may_follow_a_request_that_was_received(
    server: Server, http: Connections, answer: bytes
) -> None:
    server.answer, server.hangs_up = answer, True

    with pytest.raises(ProviderFailing):
        await post(http)

    assert len(server.requests) == 1


async def test_a_request_on_a_connection_that_is_just_closed_is_not_sent_again(
    server: Server, http: Connections
) -> None:
    """It may have been read before; whether it may be repeated is not decided here."""
    server.hangs_up = True
    tries = 20
    for _ in range(tries):
        with contextlib.suppress(ProviderFailing):
            await post(http)

    assert 0 < len(server.requests) <= tries


async def test_silence_is_a_timeout_after_the_request(server: Server, http: Connections) -> None:
    server.may_answer.clear()

    with pytest.raises(ProviderTimeout):
        await post(http, seconds=0.05)

    assert len(server.requests) == 1
    server.may_answer.set()


async def test_a_redirect_is_not_followed(server: Server, http: Connections) -> None:
    server.answer = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"

    assert (await get(http)).status == 302
    assert len(server.requests) == 1


async def test_what_is_packed_is_unpacked(server: Server, http: Connections) -> None:
    body = gzip.compress(b'{"code": "00"}')
    server.answer = (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
        + body
    )

    assert (await get(http)).content == b'{"code": "00"}'


async def test_whoever_gives_up_leaves_room_for_others(server: Server, http: Connections) -> None:
    asked = await take_all_connections(server, http)
    for each in asked:
        each.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    server.may_answer.set()

    assert (await get(http)).status == 200


async def test_an_answer_that_is_too_large_is_not_read_and_leaves_room_for_others(
    server: Server, http: Connections
) -> None:
    size = exchange.ANSWER_BYTES_MAX + 1
    packed = gzip.compress(b"x" * size)
    server.answer = (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
        % (len(packed) + 1)  # its end never comes
        + packed
    )
    for _ in range(exchange.CONNECTIONS_MAX + 1):
        with pytest.raises(OutcomeUnknown, match="too large"):
            await get(http)

    assert len(server.requests) == exchange.CONNECTIONS_MAX + 1
