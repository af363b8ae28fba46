"""A door to the database: as many sessions at a time as it has connections; the rest wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from payment_service.storage import statement_spans


class Door:
    """Opens sessions on an engine, to whoever came first.

    The line is here and not at the pool, where who comes late may pass those that wait; they wake
    up in vain, and wait anew behind all others: docs/decisions/0020.

    Args:
        engine: Whose connections are used.
        width: How many sessions may be open at a time, at most the engine's connections.
        patience_seconds: How long anybody waits.
    """

    def __init__(self, engine: AsyncEngine, *, width: int, patience_seconds: float) -> None:
        self._open = statement_spans.sessions(engine)
        self._places = asyncio.Semaphore(width)
        self._patience_seconds = patience_seconds

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[AsyncSession]:
        """Open a session.

        Raises:
            TimeoutError: None could be opened in time.
        """
        await self._enter()
        try:
            async with self._open() as session:
                yield session
        finally:
            self._places.release()

    async def _enter(self) -> None:
        if not self._places.locked():
            await self._places.acquire()  # at once
            return
        async with asyncio.timeout(self._patience_seconds):
            await self._places.acquire()
