"""Answers over a real connection: a process that dies once one is given has given it."""

import asyncio
import select
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from uvicorn.server import ServerState

from payment_service import failpoints
from payment_service.api.app import http_guard
from tests.support.service import Harness

WAIT_SECONDS = 10
HEALTH = b"GET /v1/health HTTP/1.1\r\nHost: payments.test\r\n\r\n"


@asynccontextmanager
async def served(harness: Harness) -> AsyncIterator[int]:
    """Serve as the service does, in this process; give the port."""
    service = harness.service
    guard = http_guard(service.clock, service.metrics, service.settings.public_url)
    config = uvicorn.Config(service.api(), http=guard, log_config=None, lifespan="off")
    config.load()
    state = ServerState()

    def connection() -> asyncio.Protocol:
        return guard(config=config, server_state=state, app_state={})

    server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_the_failpoint_of_an_answer_comes_after_it_has_left(service: Harness) -> None:
    came: list[tuple[str, bool]] = []
    passed = asyncio.Event()

    def act(point: str) -> None:
        if point.startswith("answer."):
            came.append((point, bool(select.select([client], [], [], 0)[0])))
            passed.set()

    async with served(service) as port:
        with socket.create_connection(("127.0.0.1", port), WAIT_SECONDS) as client:
            failpoints.arm(act)
            try:
                client.sendall(HEALTH)
                async with asyncio.timeout(WAIT_SECONDS):
                    await passed.wait()
            finally:
                failpoints.arm(None)
    assert came == [("answer.getHealth:after", True)]
