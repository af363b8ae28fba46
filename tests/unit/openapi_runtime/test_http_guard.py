"""The guard in front of the parser: what uvicorn lets pass is refused, and answers keep order."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest

from openapi_runtime.http_guard import Limits, Refusals, guarded
from openapi_runtime.problems import ProblemType
from tests.support import connections

KINDS = {
    code: ProblemType(code, status, code.lower(), retryable=False)
    for code, status in (("MALFORMED_REQUEST", 400), ("REQUEST_TIMEOUT", 408),
                         ("PAYLOAD_TOO_LARGE", 413), ("OVERLOADED", 503))
}  # fmt: skip
QUICK = Limits(head_seconds=0.1, body_seconds=0.1, unread_seconds=0.1, linger_seconds=0.1)
WAIT_SECONDS = 10  # for what must happen; far more than it takes
GET = b"GET /x HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

App = Callable[[Any, Any, Any], Awaitable[None]]
Talk = Callable[[bytes], Awaitable[list[tuple[int, str]]]]


class Seen:
    """An application that remembers what reached it, and answers with the path."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[bytes, bytes], bytes]] = []
        self.entered = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.entered += 1
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            if not message["more_body"]:
                break
        await self.gate.wait()
        self.requests.append((scope["path"], dict(scope["headers"]), body))
        await answer(send, scope["path"].encode())


async def answer(send: Any, body: bytes) -> None:
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def served(app: App, limits: Limits | None = None) -> AsyncIterator[int]:
    numbers = count(1)
    refusals = Refusals(
        problem_types=KINDS,
        problem_base="http://docs.test/errors",
        new_request_id=lambda: f"req-{next(numbers)}",
        on_refusal=lambda _kind: None,
    )
    async with connections.served(app, guarded(refusals, limits)) as port:
        yield port


async def talk(port: int, data: bytes) -> list[tuple[int, str]]:
    """Send, read to the end, and list each answer's status and problem code or body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    async with asyncio.timeout(WAIT_SECONDS):
        received = await reader.read()
    writer.close()
    return answers(received)


def answers(received: bytes) -> list[tuple[int, str]]:
    found = []
    for part in re.split(rb"(?=HTTP/1\.1 \d{3} )", received)[1:]:
        head, _, body = part.partition(b"\r\n\r\n")
        is_problem = b"application/problem+json" in head
        told = json.loads(body)["code"] if is_problem else body.decode()
        found.append((int(head.split(b" ")[1]), told))
    return found


MALFORMED = [(400, "MALFORMED_REQUEST")]
REFUSED = {
    "no Host": b"GET /x HTTP/1.1\r\n\r\n",
    "two Hosts": GET + b"Host: b\r\n\r\n",
    "an odd Host": b"GET /x HTTP/1.1\r\nHost: a b\r\n\r\n",
    "HTTP/0.9": b"GET /x\r\n\r\n",
    "HTTP/1.2": b"GET /x HTTP/1.2\r\nHost: a\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an absolute address": b"GET http://evil/x HTTP/1.1\r\nHost: a\r\n\r\n",
    "a fragment": b"GET /x#y HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT": b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a long address": b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "a long header": GET + b"X: " + b"a" * 30_000 + b"\r\n\r\n",
    "many headers": GET + b"X: a\r\n" * 100 + b"\r\n",
    "two codings": CHUNKED.replace(b"chunked", b"gzip, chunked") + b"0\r\n\r\n",
    "a coding in HTTP/1.0": CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + b"0\r\n\r\n",
    "a length and a coding": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
    "a trailer": CHUNKED + b"2\r\nab\r\n0\r\nAuthorization: Bearer x\r\n\r\n",
    "a broken chunk": CHUNKED + b"2\r\nabXX",
    "garbage": b"\x16\x03\x01\x02\x00" * 40,
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
async def test_what_readers_understand_differently_never_reaches_the_application(
    data: bytes,
) -> None:
    seen = Seen()

    async with served(seen) as port:
        told = await talk(port, data)

    assert told == MALFORMED
    assert seen.requests == []


async def test_a_proper_request_passes() -> None:
    seen = Seen()

    async with served(seen) as port:
        told = await talk(port, POST + b"Connection: close\r\nContent-Length: 2\r\n\r\nab")

    assert told == [(200, "/x")]
    assert seen.requests[0][2] == b"ab"


async def test_an_offered_upgrade_is_ignored() -> None:
    async with served(Seen()) as port:
        offer = b"Connection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n"
        assert await talk(port, GET + offer) == [(200, "/x")]


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 2\r\n\r\nab",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    ],
    ids=["length", "chunks"],
)
async def test_the_body_of_an_upgrade_is_not_taken_for_the_next_request(body: bytes) -> None:
    seen = Seen()

    async with served(seen) as port:
        told = await talk(port, POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n" + body)

    assert told == MALFORMED
    assert seen.requests == []


async def test_a_health_check_in_http_1_0_needs_no_host() -> None:
    async with served(Seen()) as port:
        assert await talk(port, b"GET /x HTTP/1.0\r\n\r\n") == [(200, "/x")]


async def test_a_large_body_is_refused_before_it_is_read() -> None:
    seen = Seen()

    async with served(seen) as port:
        told = await talk(port, POST + b"Content-Length: 65537\r\n\r\n")

    assert told == [(413, "PAYLOAD_TOO_LARGE")]
    assert seen.requests == []


@pytest.mark.parametrize("piece", [b"a" * 4096, b"1;" + b"e" * 4096], ids=["body", "extension"])
async def test_a_body_without_end_is_refused(piece: bytes) -> None:
    async with served(Seen()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(CHUNKED if piece[:1] == b"1" else CHUNKED + b"fffff\r\n")
        writer.write(piece)
        async with asyncio.timeout(WAIT_SECONDS):
            while not (received := await _read_now(reader)):
                writer.write(b"e" * 4096)
                await writer.drain()
        writer.close()

    assert answers(received) == [(413, "PAYLOAD_TOO_LARGE")]


async def _read_now(reader: asyncio.StreamReader) -> bytes:
    try:
        async with asyncio.timeout(0.01):
            return await reader.read(65536)
    except TimeoutError:
        return b""


@pytest.mark.parametrize(
    "data",
    [b"GET /x HTTP/1.1\r\nHost: a\r\nX:", b"\r\n\r\n", POST + b"Content-Length: 9\r\n\r\nab"],
    ids=["half a head", "nothing but line ends", "half a body"],
)
async def test_whoever_stops_in_the_middle_is_told_that_time_is_up(data: bytes) -> None:
    async with served(Seen(), QUICK) as port:
        assert await talk(port, data) == [(408, "REQUEST_TIMEOUT")]


async def test_more_bytes_do_not_buy_more_time() -> None:
    async with served(Seen(), QUICK) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        async with asyncio.timeout(WAIT_SECONDS):
            while not (received := await _read_now(reader)):
                writer.write(b"X")
        writer.close()

    assert answers(received) == [(408, "REQUEST_TIMEOUT")]


async def test_time_does_not_run_while_an_earlier_answer_is_due() -> None:
    seen = Seen()
    seen.gate.clear()

    async with served(seen, QUICK) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET + b"\r\n" + b"GET /y HTTP/1.1\r\n")
        await asyncio.sleep(3 * QUICK.head_seconds)
        seen.gate.set()
        writer.write(b"Host: a\r\nConnection: close\r\n\r\n")
        async with asyncio.timeout(WAIT_SECONDS):
            received = await reader.read()
        writer.close()

    assert answers(received) == [(200, "/x"), (200, "/y")]


async def test_a_refusal_waits_for_the_answers_before_it() -> None:
    seen = Seen()
    seen.gate.clear()

    async with served(seen, QUICK) as port:
        talking = asyncio.create_task(talk(port, GET + b"\r\n" + b"GET /y\r\n\r\n"))
        await asyncio.sleep(0)
        seen.gate.set()
        told = await talking

    assert told == [(200, "/x"), *MALFORMED]


async def test_a_broken_body_takes_only_its_own_request_back() -> None:
    seen = Seen()
    seen.gate.clear()

    async with served(seen) as port:
        talking = asyncio.create_task(talk(port, GET + b"\r\n" + CHUNKED + b"2\r\nabXX"))
        await asyncio.sleep(0)
        seen.gate.set()
        told = await talking

    assert told == [(200, "/x"), *MALFORMED]
    assert seen.entered == 1


async def test_a_refused_request_is_not_answered_again_by_the_application() -> None:
    gate, sent = asyncio.Event(), asyncio.Event()

    async def answer_unread(scope: Any, receive: Any, send: Any) -> None:
        await gate.wait()
        await answer(send, b"unread")
        sent.set()

    async with served(answer_unread) as port:
        told = await talk(port, CHUNKED + b"2\r\nabXX")
        gate.set()
        async with asyncio.timeout(WAIT_SECONDS):
            await sent.wait()

    assert told == MALFORMED


async def test_requests_that_wait_for_answers_are_few() -> None:
    seen = Seen()

    async with served(seen, Limits(pipelined=4, linger_seconds=0.1)) as port:
        told = await talk(port, (GET + b"\r\n") * 50)

    assert told[-1] == MALFORMED[0]
    assert [status for status, _ in told[:-1]] == [200] * 5


async def test_connections_are_limited() -> None:
    async with served(Seen(), Limits(connections=1, linger_seconds=0.1)) as port:
        _, first = await asyncio.open_connection("127.0.0.1", port)
        first.write(GET)

        told = await talk(port, b"")

        first.close()
    assert told == [(503, "OVERLOADED")]


async def test_a_client_that_never_reads_is_let_go() -> None:
    gone = asyncio.Event()

    async def pour(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"transfer-encoding", b"chunked")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": b"a" * 65536, "more_body": True})
            if (await _event_now(receive)) == "http.disconnect":
                gone.set()
                return

    async with served(pour, QUICK) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(GET + b"\r\n")
        async with asyncio.timeout(WAIT_SECONDS):
            await gone.wait()
        writer.close()


async def _event_now(receive: Any) -> str:
    task = asyncio.ensure_future(receive())
    done, _ = await asyncio.wait([task], timeout=0.001)
    task.cancel()
    return str(task.result()["type"]) if done else ""


async def test_an_answer_is_one_packet(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[bytes] = []
    async with served(Seen()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET + b"\r\n")
        kind = type(writer.transport)  # the server's is of the same
        write = kind.write

        def remember(self: Any, data: bytes) -> None:
            sent.append(data)
            write(self, data)

        monkeypatch.setattr(kind, "write", remember)
        async with asyncio.timeout(WAIT_SECONDS):
            received = await reader.readuntil(b"/x")
        writer.close()
    assert sent == [received]


async def test_a_quiet_connection_is_closed_without_a_word() -> None:
    async with served(Seen(), QUICK) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write_eof()
        async with asyncio.timeout(WAIT_SECONDS):
            assert await reader.read() == b""
        writer.close()
