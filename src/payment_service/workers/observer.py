"""Measures what waits in the database, in every process: a dead worker cannot hide its own backlog.

A handful of indexed queries every few seconds, never at a scrape. While the database is away the
counts stand still and the ages go on: what waited then waits now.
"""

import asyncio
from datetime import datetime

from prometheus_client import Gauge

from payment_service.domain.clock import Clock
from payment_service.domain.errors import StorageUnavailable
from payment_service.storage import (
    exceptions,
    idempotency,
    outbox,
    payments,
    refunds,
    webhooks,
)
from payment_service.storage.database import Database, Session
from payment_service.telemetry.logging import get_logger
from payment_service.telemetry.metrics import Metrics
from payment_service.use_cases.create_payment import OPERATION as CREATION

log = get_logger(__name__)

EVERY_SECONDS = 5.0


class Observer:
    """Keeps the gauges of what waits up to date."""

    def __init__(self, database: Database, clock: Clock, metrics: Metrics) -> None:
        self._database = database
        self._clock = clock
        self._metrics = metrics
        self._since: dict[Gauge, datetime | None] = {}  # by the gauge of its age

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
            await self._database.read(self._look_at_messages)
            await self._database.read(self._look_at_money)
        finally:
            for gauge, since in self._since.items():
                gauge.set(self._age(since))

    async def _look_at_messages(self, session: Session) -> None:
        metrics = self._metrics
        waiting = await outbox.backlog(session)
        self._since[metrics.outbox_age] = waiting.oldest
        metrics.outbox_pending.set(waiting.pending)
        metrics.outbox_refused.set(waiting.refused)
        stored = await webhooks.backlog(session)
        self._since[metrics.webhooks_age] = stored.oldest
        metrics.webhooks_waiting.set(stored.waiting)
        metrics.webhooks_dead.set(stored.dead)

    async def _look_at_money(self, session: Session) -> None:
        metrics = self._metrics
        self._since[metrics.creations_age] = await idempotency.find_oldest_open(session, CREATION)
        self._since[metrics.checks_age] = await payments.find_oldest_due(session, now=self._clock())
        count, self._since[metrics.refunds_age] = await refunds.backlog(session)
        metrics.refunds_waiting.set(count)
        count, self._since[metrics.exceptions_age] = await exceptions.backlog(session)
        metrics.exceptions_open.set(count)

    def _age(self, since: datetime | None) -> float:
        return max(0.0, (self._clock() - since).total_seconds()) if since is not None else 0.0
