"""Answers over a real connection: a process that dies once one is given has given it."""

import asyncio
import select
import socket

from payment_service import failpoints
from payment_service.api.app import http_guard
from tests.support.connections import served
from tests.support.service import Harness

WAIT_SECONDS = 10
HEALTH = b"GET /v1/health HTTP/1.1\r\nHost: payments.test\r\n\r\n"


async def test_the_failpoint_of_an_answer_comes_after_it_has_left(service: Harness) -> None:
    came: list[tuple[str, bool]] = []
    passed = asyncio.Event()

    def act(point: str) -> None:
        if point.startswith("answer."):
            came.append((point, bool(select.select([client], [], [], 0)[0])))
            passed.set()

    inner = service.service
    guard = http_guard(inner.clock, inner.metrics, inner.settings.public_url)
    async with served(inner.api(), guard) as port:
        with socket.create_connection(("127.0.0.1", port), WAIT_SECONDS) as client:
            failpoints.arm(act)
            try:
                client.sendall(HEALTH)
                async with asyncio.timeout(WAIT_SECONDS):
                    await passed.wait()
            finally:
                failpoints.arm(None)
    assert came == [("answer.getHealth:after", True)]
