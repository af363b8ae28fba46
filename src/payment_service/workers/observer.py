"""Measures what waits in the database, in every process: a dead worker cannot hide its own backlog.

A handful of indexed queries every few seconds, never at a scrape. While the database is away the
counts stand still and the ages go on: what waited then waits now.
"""

import asyncio
from datetime import datetime

from payment_service.domain.clock import Clock
from payment_service.domain.errors import StorageUnavailable
from payment_service.storage import outbox, webhooks
from payment_service.storage.database import Database
from payment_service.telemetry.logging import get_logger
from payment_service.telemetry.metrics import Metrics

log = get_logger(__name__)

EVERY_SECONDS = 5.0


class Observer:
    """Keeps the gauges of the outbox and of the stored webhooks up to date."""

    def __init__(self, database: Database, clock: Clock, metrics: Metrics) -> None:
        self._database = database
        self._clock = clock
        self._metrics = metrics
        self._outbox_since: datetime | None = None
        self._webhooks_since: datetime | None = None

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            try:
                await self.run_once()
            except StorageUnavailable:
                log.warning("observer.storage_unavailable")
            except Exception:
                log.exception("observer.failed")
            await asyncio.sleep(EVERY_SECONDS)

    async def run_once(self) -> None:
        """Measure once.

        Raises:
            StorageUnavailable: The database does not answer; the ages are brought up to date.
        """
        try:
            await self._look()
        finally:
            self._metrics.outbox_age.set(self._age(self._outbox_since))
            self._metrics.webhooks_age.set(self._age(self._webhooks_since))

    async def _look(self) -> None:
        waiting = await self._database.read(outbox.backlog)
        self._outbox_since = waiting.oldest
        self._metrics.outbox_pending.set(waiting.pending)
        self._metrics.outbox_refused.set(waiting.refused)
        stored = await self._database.read(webhooks.backlog)
        self._webhooks_since = stored.oldest
        self._metrics.webhooks_waiting.set(stored.waiting)
        self._metrics.webhooks_dead.set(stored.dead)

    def _age(self, since: datetime | None) -> float:
        return max(0.0, (self._clock() - since).total_seconds()) if since is not None else 0.0
