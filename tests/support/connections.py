"""Serves an application over real connections in this process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState


@asynccontextmanager
async def served(app: Any, guard: type[HttpToolsProtocol]) -> AsyncIterator[int]:
    """Serve behind a guard as the service does; give the port."""
    config = uvicorn.Config(app, http=guard, log_config=None, lifespan="off")
    config.load()
    state = ServerState()

    def connection() -> asyncio.Protocol:
        return guard(config=config, server_state=state, app_state={})

    server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for each in list(state.connections):
            each.transport.abort()  # type: ignore[union-attr]
        await server.wait_closed()
