"""Whatever payOS or the network does: did it act? Answered on real sockets."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from payment_service.providers import exchange, guard as guarding
from payment_service.providers.guard import Guard
from payment_service.providers.payos.client import PayOSClient
from payment_service.providers.payos.settings import Credentials
from payment_service.providers.provider import (
    AlreadyExists,
    Operation,
    OutcomeUnknown,
    ProviderError,
    ProviderMisconfigured,
    ProviderTimeout,
    RequestNotSent,
    RequestRejected,
    UnknownReference,
)
from payment_service.providers.retry_budget import CALLS_PER_RETRY

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answer(status: int = 200, body: bytes = b"", *, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, size, body)


class Server:
    """Says what it is told to, and counts how often it was asked."""

    def __init__(self, *answers: bytes | None) -> None:
        self._answers = answers
        self.requests = 0
        self.talks: set[asyncio.Task[None]] = set()

    def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.talks.add(asyncio.ensure_future(self.talk(reader, writer)))

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        text = self._answers[min(self.requests, len(self._answers) - 1)]
        self.requests += 1
        if text is None:
            await reader.read()  # silence, until the client gives up
        else:
            writer.write(text)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def patient() -> Guard:
    """Make a guard that does not wait between tries."""
    return Guard(lambda _: None, sleep=lambda _: asyncio.sleep(0))


@asynccontextmanager
async def calling(server: Server) -> AsyncIterator[PayOSClient]:
    listener = await asyncio.start_server(server.meet, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with listener, exchange.connect("payOS", f"http://127.0.0.1:{port}") as http:
        yield PayOSClient(http, Credentials("c", "a", "k"), patient())
    await asyncio.gather(*server.talks)


def refusal(code: str, description: str = "") -> bytes:
    return answer(200, b'{"code":"%s","desc":"%s","data":null}' % (
        code.encode(), description.encode()))  # fmt: skip


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (refusal("20"), RequestRejected),
        (refusal("101"), UnknownReference),
        (refusal("201"), ProviderMisconfigured),
        (refusal("214"), ProviderMisconfigured),
        (refusal("231"), AlreadyExists),
        (refusal("999"), OutcomeUnknown),
        (answer(401, b"{}"), ProviderMisconfigured),
        (answer(403, b"{}"), ProviderMisconfigured),
        (answer(429), OutcomeUnknown),
        (answer(500, b"oops"), OutcomeUnknown),
        (answer(302, b"{}"), OutcomeUnknown),
        (answer(200, b"<html>"), OutcomeUnknown),
        (answer(200, b"[]"), OutcomeUnknown),
        (answer(200, b'{"code":"00","data":null}'), OutcomeUnknown),
        (answer(200, b'{"code":"00","data":{"a":1},"signature":"%s"}' % (b"0" * 64)),
         OutcomeUnknown),
        (answer(200, b'{"code":"00"', length=1000), OutcomeUnknown),
        (b"", OutcomeUnknown),
        (b"nonsense\r\n\r\n", OutcomeUnknown),
        (answer(200, b"x" * (exchange.ANSWER_BYTES_MAX + 1)), OutcomeUnknown),
    ],
)  # fmt: skip
async def test_every_answer_is_classified_and_a_write_is_sent_once(
    said: bytes, expected: type[ProviderError]
) -> None:
    server = Server(said)
    async with calling(server) as client:
        with pytest.raises(expected) as caught:
            await client.call(Operation.CREATE, "POST", "/v2/payment-requests", body={"a": 1})

    assert type(caught.value) is expected or not isinstance(caught.value, RequestRejected)
    assert server.requests == 1


async def test_silence_is_an_unknown_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarding, "TRY_SECONDS", 1.0)
    server = Server(None)
    async with calling(server) as client:
        with pytest.raises(ProviderTimeout):
            await client.call(Operation.CREATE, "POST", "/v2/payment-requests", body={})

    assert server.requests == 1


async def test_nobody_there_means_not_sent() -> None:
    async with exchange.connect("payOS", "http://127.0.0.1:1") as http:
        client = PayOSClient(http, Credentials("c", "a", "k"), patient())
        with pytest.raises(RequestNotSent):
            await client.call(Operation.CREATE, "POST", "/x", body={})


async def test_reads_are_repeated_within_bounds() -> None:
    well = answer(200, b'{"code":"00","data":{}}')
    calls = 2 * CALLS_PER_RETRY  # they pay for two retries
    server = Server(*[well] * calls, answer(500), answer(503), well)
    async with calling(server) as client:
        for _ in range(calls + 1):
            seen = await client.call(Operation.GET, "GET", "/x", signed_by="", may_repeat=True)
            assert seen == {}

    assert server.requests == calls + 3


@pytest.mark.parametrize("status", [429, 503])
async def test_a_date_to_come_back_is_understood(status: int) -> None:
    dates = b"Date: Tue, 24 Nov 2026 10:00:00 GMT\r\nRetry-After: Tue, 24 Nov 2026 10:00:40 GMT"
    server = Server(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n%s\r\n\r\n" % (status, dates))
    async with calling(server) as client:
        with pytest.raises(OutcomeUnknown) as caught:
            await client.call(Operation.GET, "GET", "/x", may_repeat=True)

    assert caught.value.retry_after_seconds == 40
    assert server.requests == 1  # nobody waits that long inside a request


async def test_refused_reads_are_not_repeated() -> None:
    server = Server(refusal("101"))
    async with calling(server) as client:
        with pytest.raises(UnknownReference):
            await client.call(Operation.GET, "GET", "/x", may_repeat=True)

    assert server.requests == 1


def test_secrets_are_not_shown() -> None:
    shown = repr(Credentials("client", "the-api-key", "the-checksum-key", "the-old-key"))

    assert "the-" not in shown
