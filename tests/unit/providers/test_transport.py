"""Requests to a provider: few connections, and of each failure whether anything was sent."""

import asyncio
import contextlib
import gzip
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from payment_service.providers import transport
from payment_service.providers.exchange import connect
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
async def http(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(server.url, seconds=SECONDS) as http:
        yield http


async def take_all_connections(
    server: Server, http: httpx.AsyncClient
) -> list[asyncio.Task[httpx.Response]]:
    """Have as many requests under way as there may be connections."""
    server.may_answer.clear()
    asked = [asyncio.create_task(http.get("/")) for _ in range(transport.CONNECTIONS_MAX)]
    await server.wait_for(len(asked))
    return asked


async def test_requests_one_after_another_use_one_connection(
    server: Server, http: httpx.AsyncClient
) -> None:
    for _ in range(5):
        assert (await http.get("/")).status_code == 200

    assert (len(server.requests), server.connections) == (5, 1)


async def test_what_finds_every_connection_taken_waits_for_one(
    server: Server, http: httpx.AsyncClient
) -> None:
    server.may_answer.clear()
    count = transport.CONNECTIONS_MAX
    asked = [asyncio.create_task(http.get("/")) for _ in range(count + 20)]
    await server.wait_for(count)
    server.may_answer.set()
    answers = await asyncio.gather(*asked)

    assert {answer.status_code for answer in answers} == {200}
    assert server.connections == count


async def test_a_wait_for_a_connection_that_is_too_long_sent_nothing(
    server: Server, http: httpx.AsyncClient
) -> None:
    asked = await take_all_connections(server, http)

    with pytest.raises(httpx.ConnectError):
        await http.get("/", timeout=httpx.Timeout(SECONDS, pool=0.01))
    server.may_answer.set()
    await asyncio.gather(*asked)

    assert len(server.requests) == transport.CONNECTIONS_MAX


async def test_a_request_goes_out_as_it_was_made_and_nothing_is_added(
    server: Server, http: httpx.AsyncClient
) -> None:
    request = http.build_request("POST", "/a%20b", params={"q": "c d"}, content=b"{}",
                                 headers=[("x-key", "1"), ("x-key", "2")])  # fmt: skip
    await http.send(request)

    lines = server.requests[0].decode().split("\r\n")
    assert lines[0] == "POST /a%20b?q=c+d HTTP/1.1"
    sent = [tuple(line.lower().split(": ", 1)) for line in lines[1:] if line]
    assert sorted(sent) == sorted(
        (name.lower(), value.lower()) for name, value in request.headers.multi_items()
    )


async def test_nobody_there_means_that_nothing_was_sent(http: httpx.AsyncClient) -> None:
    with pytest.raises(httpx.ConnectError):
        await http.post("http://127.0.0.1:1/", content=b"{}")


async def test_a_name_that_leads_nowhere_means_that_nothing_was_sent(
    http: httpx.AsyncClient,
) -> None:
    with pytest.raises(httpx.ConnectError):
        await http.post("http://nowhere.invalid/", content=b"{}")


async def test_a_certificate_that_nobody_vouches_for_means_that_nothing_was_sent(
    http: httpx.AsyncClient, tmp_path: Path
) -> None:
    keystore, _ = certify(tmp_path, "stranger")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(keystore)
    stranger = Server()
    async with await asyncio.start_server(stranger.serve, "127.0.0.1", 0, ssl=tls) as listener:
        port = listener.sockets[0].getsockname()[1]
        with pytest.raises(httpx.ConnectError, match="certificate"):
            await http.post(f"https://127.0.0.1:{port}/", content=b"{}")

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
    server: Server, http: httpx.AsyncClient, answer: bytes
) -> None:
    server.answer, server.hangs_up = answer, True

    with pytest.raises(httpx.ReadError):
        await http.post("/", content=b"{}")

    assert len(server.requests) == 1


async def test_a_request_on_a_connection_that_is_just_closed_is_not_sent_again(
    server: Server, http: httpx.AsyncClient
) -> None:
    """It may have been read before; whether it may be repeated is not for the transport to say."""
    server.hangs_up = True
    tries = 20
    for _ in range(tries):
        with contextlib.suppress(httpx.ReadError):
            await http.post("/", content=b"{}")

    assert 0 < len(server.requests) <= tries


async def test_silence_is_a_timeout_after_the_request(
    server: Server, http: httpx.AsyncClient
) -> None:
    server.may_answer.clear()

    with pytest.raises(httpx.ReadTimeout):
        await http.post("/", content=b"{}", timeout=0.05)

    assert len(server.requests) == 1
    server.may_answer.set()


async def test_a_redirect_is_not_followed(server: Server, http: httpx.AsyncClient) -> None:
    server.answer = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"

    assert (await http.get("/")).status_code == 302
    assert len(server.requests) == 1


async def test_what_is_packed_is_unpacked(server: Server, http: httpx.AsyncClient) -> None:
    body = gzip.compress(b'{"code": "00"}')
    server.answer = (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
        + body
    )

    assert (await http.get("/")).json() == {"code": "00"}


async def test_whoever_gives_up_leaves_room_for_others(
    server: Server, http: httpx.AsyncClient
) -> None:
    asked = await take_all_connections(server, http)
    for each in asked:
        each.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    server.may_answer.set()

    assert (await http.get("/")).status_code == 200


async def test_an_answer_that_nobody_reads_to_its_end_leaves_room_for_others(
    server: Server, http: httpx.AsyncClient
) -> None:
    server.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000
    for _ in range(transport.CONNECTIONS_MAX + 1):
        response = await http.send(http.build_request("GET", "/"), stream=True)
        await response.aclose()

    assert len(server.requests) == transport.CONNECTIONS_MAX + 1
