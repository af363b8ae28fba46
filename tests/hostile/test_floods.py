"""What floods and slow senders cost everybody else: a ratio, before and during, on one machine.

Ratios with room to spare: the machine is small, noisy and shared with the flood itself. Without the
guard slow senders are held for ever, and without a quota every forgery writes a row.
"""

import asyncio
import json
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from payos_simulator import signatures
from payos_simulator.webhooks import PING
from tests.hostile.run import CHECKSUM_KEY
from tests.support.process import Development, development, wait_until

SLOW_SENDERS = 300
FORGERS = 4
SAMPLES = 40
FACTOR_MAX = 10  # and never more than this many times the quiet median
FLOOR_SECONDS = 0.02  # below it a ratio tells of the scheduler only

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Development]:
    folder = tmp_path_factory.mktemp("flood")
    with development(folder) as running:
        yield running


def median_seconds(act: Callable[[int], httpx.Response], first: int) -> float:
    took = []
    for number in range(first, first + SAMPLES):
        started = time.perf_counter()
        response = act(number)
        took.append(time.perf_counter() - started)
        assert response.status_code == 200, response.text
    return statistics.median(took)


@contextmanager
def slow_senders(port: int) -> Iterator[list[socket.socket]]:
    connections = []
    for _ in range(SLOW_SENDERS):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(b"GET /v1/health HTTP/1.1\r\nHost: a\r\nX: ")
        connections.append(connection)
    try:
        yield connections
    finally:
        for connection in connections:
            connection.close()


def is_answered(connection: socket.socket) -> bool:
    connection.settimeout(0)
    try:
        return connection.recv(4096, socket.MSG_PEEK).startswith(b"HTTP/1.1 408")
    except BlockingIOError:
        return False


def test_slow_senders_do_not_slow_others_down(service: Development) -> None:
    with httpx.Client(base_url=service.url, trust_env=False) as client:
        quiet = median_seconds(lambda _: client.get("/v1/health"), 0)
        with slow_senders(service.port) as connections:
            during = median_seconds(lambda _: client.get("/v1/health"), 0)
            wait_until(lambda: all(map(is_answered, connections)), what="all are told to go",
                       seconds=60)  # fmt: skip

    print(f"slow senders: {quiet * 1000:.1f} ms before, {during * 1000:.1f} ms during")
    assert during < FACTOR_MAX * max(quiet, FLOOR_SECONDS)


def webhook(number: int, key: str) -> dict[str, Any]:
    data = PING | {"orderCode": 10_000_000 + number, "reference": f"FT-{number}"}
    return {"data": data, "signature": signatures.of_data(data, key)}


def test_a_flood_of_forgeries_does_not_slow_the_provider_down(
    service: Development,
) -> None:
    with httpx.Client(base_url=service.url, trust_env=False) as client:

        def deliver(number: int) -> httpx.Response:
            return client.post("/v1/webhooks/payos", json=webhook(number, CHECKSUM_KEY))

        quiet = median_seconds(deliver, 0)
        refused, during = asyncio.run(_flood(service, lambda: median_seconds(deliver, SAMPLES)))

    print(f"forgeries: {quiet * 1000:.1f} ms before, {during * 1000:.1f} ms during, {refused}")
    assert refused[429] > refused[401] > 0
    assert set(refused) == {401, 429}
    assert during < FACTOR_MAX * max(quiet, FLOOR_SECONDS)


async def _flood(
    service: Development, measure: Callable[[], float]
) -> tuple[dict[int, int], float]:
    """Forge as fast as the service answers, while something else is measured."""
    is_over = asyncio.Event()
    refused: dict[int, int] = {}

    async def forge(forger: int) -> None:
        number = forger
        async with httpx.AsyncClient(base_url=service.url, trust_env=False) as client:
            while not is_over.is_set():
                body = json.dumps(webhook(number, "not-the-key")).encode()
                response = await client.post(
                    "/v1/webhooks/payos", content=body,
                    headers={"Content-Type": "application/json"},
                )  # fmt: skip
                refused[response.status_code] = refused.get(response.status_code, 0) + 1
                number += FORGERS

    forgers = [asyncio.create_task(forge(forger)) for forger in range(FORGERS)]
    during = await asyncio.to_thread(measure)
    is_over.set()
    await asyncio.gather(*forgers)
    return refused, during
