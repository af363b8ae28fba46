"""The load: what it counts, and what it refuses to count."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from tests.benchmarks.load import LoadFailed, closed_loop, open_loop, parse

Wait = Callable[[], Awaitable[None]]
REQUEST = b"GET / HTTP/1.1\r\nhost: bench\r\n\r\n"


async def at_once() -> None:
    """Wait for nothing."""


class Server:
    """Answers every request after `wait`, and counts how many are under way."""

    def __init__(self, status: int = 200, wait: Wait = at_once) -> None:
        self.answered = self.under_way = self.under_way_max = 0
        self.port = 0
        self.doors: list[asyncio.Transport] = []
        self._status = status
        self._wait = wait
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, transport: asyncio.Transport) -> None:
        """Take a request."""
        self.under_way += 1
        self.under_way_max = max(self.under_way_max, self.under_way)
        task = asyncio.create_task(self._answer(transport))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, transport: asyncio.Transport) -> None:
        await self._wait()
        self.under_way -= 1
        self.answered += 1
        transport.write(b"HTTP/1.1 %d X\r\ncontent-length: 2\r\n\r\nok" % self._status)


class Door(asyncio.Protocol):
    """One connection to it."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._server.doors.append(transport)

    def data_received(self, data: bytes) -> None:
        assert data == REQUEST, "one request at a time"
        self._server.take(self._transport)


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[Server]:
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: Door(server), "127.0.0.1", 0)
    async with listener:
        server.port = listener.sockets[0].getsockname()[1]
        yield server


async def test_a_closed_loop_has_one_request_a_connection_under_way_and_gets_all_answers():
    async with serving(Server(wait=lambda: asyncio.sleep(0))) as server:
        load = await closed_loop([server.port], [REQUEST] * 50, connections=4, expected=200)

    assert (server.answered, len(load.times)) == (50, 50)
    assert server.under_way_max == 4


async def test_connections_are_spread_over_all_ports():
    async with serving(Server()) as one, serving(Server()) as two:
        await closed_loop([one.port, two.port], [REQUEST] * 20, connections=2, expected=200)

    assert one.answered + two.answered == 20
    assert min(one.answered, two.answered) > 0


async def test_an_answer_with_another_status_fails_the_load():
    async with serving(Server(status=503)) as server:
        with pytest.raises(LoadFailed, match="503 instead of 200"):
            await closed_loop([server.port], [REQUEST] * 3, connections=1, expected=200)


async def test_an_open_loop_waits_for_nobody():
    """The server answers nobody before everybody has asked."""
    everybody = asyncio.Barrier(20)

    async def meet() -> None:
        await everybody.wait()

    async with serving(Server(wait=meet)) as server:
        schedule = [(number / 1000, REQUEST) for number in range(20)]
        load = await open_loop(server.port, schedule, expected=200, connections=1)

    assert server.under_way_max == 20
    assert len(load.times) == 20


async def test_an_open_loop_opens_no_more_connections_than_it_may_and_the_wait_counts():
    first = asyncio.Event()
    after_seconds = 0.2

    async with serving(Server(wait=first.wait)) as server:
        asyncio.get_running_loop().call_later(after_seconds, first.set)
        load = await open_loop(
            server.port, [(0.0, REQUEST)] * 9, expected=200, connections=1, connections_max=3
        )

    assert (len(server.doors), server.under_way_max, len(load.times)) == (3, 3, 9)
    assert min(load.times) >= after_seconds


async def test_an_open_loop_counts_from_when_a_request_should_have_left():
    late_seconds = 5.0
    async with serving(Server()) as server:
        load = await open_loop(server.port, [(-late_seconds, REQUEST)], expected=200)

    assert load.times[0] >= late_seconds


async def test_a_connection_that_the_server_closes_while_it_is_idle_is_replaced():
    server = Server()
    async with serving(server):

        def hang_up(number: int, _at: float) -> None:
            if number == 0:
                server.doors[-1].close()

        schedule = [(0.0, REQUEST), (0.2, REQUEST)]
        load = await open_loop(
            server.port, schedule, expected=200, connections=1, on_acknowledged=hang_up
        )

    assert (len(load.times), len(server.doors)) == (2, 2)


async def test_a_connection_that_is_lost_with_a_request_under_way_fails_the_load():
    async def hang_up() -> None:
        server.doors[-1].abort()

    server = Server(wait=hang_up)
    async with serving(server):
        with pytest.raises(ConnectionError):
            await closed_loop([server.port], [REQUEST], connections=1, expected=200)


async def test_an_open_loop_counts_refusals_apart_and_nothing_else_that_was_not_expected():
    async with serving(Server(status=503)) as server:
        load = await open_loop(server.port, [(0.0, REQUEST)] * 3, expected=200)
    async with serving(Server(status=500)) as server:
        with pytest.raises(LoadFailed, match="500 instead of 200"):
            await open_loop(server.port, [(0.0, REQUEST)], expected=200)

    assert (len(load.refused), list(load.times)) == (3, [])


async def test_an_open_loop_tells_which_request_was_answered():
    answered: list[int] = []
    async with serving(Server()) as server:
        schedule = [(0.0, REQUEST)] * 5
        await open_loop(
            server.port, schedule, expected=200,
            on_acknowledged=lambda number, _at: answered.append(number),
        )  # fmt: skip

    assert sorted(answered) == [0, 1, 2, 3, 4]


def test_an_answer_is_read_when_all_of_it_is_there():
    whole = b"HTTP/1.1 201 Created\r\ncontent-length: 5\r\n\r\nhello"

    assert [parse(whole[:length]) for length in (0, 20, len(whole) - 1)] == [None, None, None]
    assert parse(whole) == (201, b"hello")


def test_an_answer_of_unknown_length_is_refused():
    with pytest.raises(LoadFailed, match="without content-length"):
        parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
