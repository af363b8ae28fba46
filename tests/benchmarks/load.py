"""Load over HTTP/1.1: prepared requests on raw sockets, one at a time on each connection.

A closed loop keeps so many connections busy: each sends its next request when it has its answer. A
server that stalls is asked less meanwhile, so its times look better than they are (coordinated
omission). Closed loops are for rates, and for comparing two servers under the same loop.

An open loop sends each request at its time, whoever still waits, and counts from that time on. Its
times are what callers see who do not wait for each other.
"""

import asyncio
import time
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

SECONDS_MAX = 300.0
HEAD_END = b"\r\n\r\n"
LENGTH = b"\r\ncontent-length: "


class LoadFailed(Exception):
    """The server answered otherwise than it should, or not at all."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a load has seen. Times are in seconds, in the order of the answers."""

    seconds: float
    times: Sequence[float]
    refused: Sequence[float] = ()  # times of those with 503, which only an open loop takes


OnAnswer = Callable[["Connection", int, bytes], None]


class Connection(asyncio.Protocol):
    """One connection; it has at most one request under way."""

    def __init__(self, on_answer: OnAnswer, on_lost: Callable[[Exception], None]) -> None:
        self.since = 0.0  # what the time of the request under way counts from
        self.number = 0  # which one that is
        self.is_open = True
        self._is_busy = False
        self._on_answer = on_answer
        self._on_lost = on_lost
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def send(self, request: bytes, number: int, *, since: float | None = None) -> None:
        """Send a request; its time counts from now, or from `since`."""
        self.number = number
        self._is_busy = True
        self.since = time.perf_counter() if since is None else since
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received = self._received + data if self._received else data
        answer = parse(self._received)
        if answer is not None:
            self._received = b""
            self._is_busy = False
            self._on_answer(self, *answer)

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        if self._is_busy:  # an idle one may be closed, when it is idle for long
            self._on_lost(error or ConnectionError("the server hung up"))

    def close(self) -> None:
        """Hang up."""
        self._is_busy = False
        self._transport.close()


def parse(received: bytes) -> tuple[int, bytes] | None:
    """Read an answer with a content-length: its status and body; None while some is missing."""
    end = received.find(HEAD_END)
    if end < 0:
        return None
    found = received.find(LENGTH, 0, end + 2)
    if found < 0:
        raise LoadFailed(f"an answer without content-length: {received[:200]!r}")
    start = found + len(LENGTH)
    length = int(received[start : received.index(b"\r", start)])
    body = received[end + len(HEAD_END) :]
    return None if len(body) < length else (int(received[9:12]), body)


class _Watch:
    """Collects answers until all are there."""

    def __init__(self, count: int, expected: int, *, may_refuse: bool = False) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.times = array("d")
        self.refused = array("d")
        self._may_refuse = may_refuse
        self._left = count
        self._expected = expected

    def note(self, connection: Connection, status: int, body: bytes) -> float | None:
        """Take an answer down; return when it came, or None if it was a refusal."""
        now = time.perf_counter()
        is_refused = status == HTTPStatus.SERVICE_UNAVAILABLE and self._may_refuse
        if is_refused:
            self.refused.append(now - connection.since)
        elif status == self._expected:
            self.times.append(now - connection.since)
        else:
            self.fail(LoadFailed(f"{status} instead of {self._expected}: {body[:300]!r}"))
        self._left -= 1
        if self._left == 0 and not self.done.done():
            self.done.set_result(None)
        return None if is_refused else now

    def fail(self, error: Exception) -> None:
        """Give up."""
        if not self.done.done():
            self.done.set_exception(error)


async def closed_loop(
    ports: Sequence[int], requests: Sequence[bytes], *, connections: int, expected: int
) -> Load:
    """Send all requests over some connections, spread over the ports.

    Raises:
        LoadFailed: An answer has another status than the expected one.
    """
    watch = _Watch(len(requests), expected)
    waiting = iter(enumerate(requests))

    def send_next(connection: Connection) -> None:
        following = next(waiting, None)
        if following is not None:
            connection.send(following[1], following[0])

    def on_answer(connection: Connection, status: int, body: bytes) -> None:
        watch.note(connection, status, body)
        send_next(connection)

    opened = [
        await _connect(ports[number % len(ports)], on_answer, watch)
        for number in range(connections)
    ]
    started = time.perf_counter()
    for connection in opened:
        send_next(connection)
    try:
        await asyncio.wait_for(watch.done, SECONDS_MAX)
        return Load(time.perf_counter() - started, watch.times)
    finally:
        for connection in opened:
            connection.close()


async def open_loop(
    port: int,
    schedule: Sequence[tuple[float, bytes]],
    *,
    expected: int,
    connections: int = 8,
    connections_max: int = 1_000,
    on_acknowledged: Callable[[int, float], None] = lambda _number, _at: None,
) -> Load:
    """Send requests at their times, in seconds from now; more connections are made as needed.

    Beyond the most connections a request waits for one, as it would in a load balancer; its time
    counts all the same.

    Args:
        port: Of the server on this machine.
        schedule: When to send what.
        expected: The status of every answer. A server that is asked for more than it can do may
            refuse with 503; that is counted apart.
        connections: How many to open beforehand.
        connections_max: How many to open at most.
        on_acknowledged: Told the number of a request and when it was answered (`perf_counter`).

    Raises:
        LoadFailed: An answer has another status than the expected one.
    """
    watch = _Watch(len(schedule), expected, may_refuse=True)

    def on_answer(connection: Connection, status: int, body: bytes) -> None:
        at = watch.note(connection, status, body)
        if at is not None:
            on_acknowledged(connection.number, at)
        if waiting:
            following, request, since = waiting.popleft()
            connection.send(request, following, since=since)
        else:
            idle.append(connection)

    waiting: deque[tuple[int, bytes, float]] = deque()
    idle = [await _connect(port, on_answer, watch) for _ in range(connections)]
    everybody = list(idle)
    asked_for = len(idle)
    started = time.perf_counter()

    async def send(number: int, request: bytes, since: float) -> None:
        nonlocal asked_for
        while idle and not idle[-1].is_open:
            idle.pop()
        if not idle and asked_for >= connections_max:
            waiting.append((number, request, since))
            return
        if not idle:
            asked_for += 1
            everybody.append(await _connect(port, on_answer, watch))
            idle.append(everybody[-1])
        idle.pop().send(request, number, since=since)

    async with asyncio.TaskGroup() as sending:
        for number, (after, request) in enumerate(schedule):
            await asyncio.sleep(max(0.0, started + after - time.perf_counter()))
            sending.create_task(send(number, request, started + after))
    try:
        await asyncio.wait_for(watch.done, SECONDS_MAX)
        return Load(time.perf_counter() - started, watch.times, watch.refused)
    finally:
        for connection in everybody:
            connection.close()


async def _connect(port: int, on_answer: OnAnswer, watch: _Watch) -> Connection:
    _, connection = await asyncio.get_running_loop().create_connection(
        lambda: Connection(on_answer, watch.fail), "127.0.0.1", port
    )
    return connection
