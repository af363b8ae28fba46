"""The service's own `Database`, with sessions on the store instead of a server."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy.exc import DBAPIError

from payment_service.storage.database import Database, Repeat
from tests.simulation.store.expressions import NotSimulated
from tests.simulation.store.faults import CheckFailed
from tests.simulation.store.session import SimulatedSession
from tests.simulation.store.transactions import Calm, Store, Surroundings


class SimulatedDatabase(Database):
    """Everything but the connections is the service's: repeating, shielding, telling errors."""

    def __init__(self, store: Store, surroundings: Surroundings | None = None) -> None:
        world = surroundings or Calm()
        self._store = store
        self._on_commit = lambda _fact: None
        self._running: set[asyncio.Task[object]] = set()
        self._writers = lambda: SimulatedSession(store, world, may_write=True)
        self._readers = lambda: SimulatedSession(store, world, may_write=False)

    async def _read_once(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        try:
            return await super()._read_once(work)
        except NotSimulated as error:
            self._store.alarm(f"not simulated: {error}")
            raise

    async def _write_once(self, name: str, work: Callable[[Any], Awaitable[Any]]) -> Any:
        try:
            return await super()._write_once(name, work)
        except Repeat:
            self._store.note("a lost race was run again")
            raise
        except NotSimulated as error:
            self._store.alarm(f"not simulated: {error}")
            raise
        except DBAPIError as error:
            if isinstance(getattr(error.orig, "__cause__", None), CheckFailed):
                self._store.alarm(f"only a CHECK refused what {name} wrote: {error.orig}")
            raise
