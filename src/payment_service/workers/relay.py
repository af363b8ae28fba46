"""Moves messages from the outbox to the broker: in order per key, at least once.

Several relays may run. Keys are spread over shards, and each shard is leased to one relay, so one
payment's messages go through one hand. No transaction is open while the broker is waited for.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from math import ceil

from payment_service import failpoints
from payment_service.domain.clock import Clock
from payment_service.domain.errors import StorageUnavailable
from payment_service.messaging.broker import Message, MessageRefused, Publisher
from payment_service.storage import leases, outbox
from payment_service.storage.database import Database, Session
from payment_service.storage.outbox import PendingMessage
from payment_service.telemetry import tracing
from payment_service.telemetry.logging import get_logger
from payment_service.telemetry.metrics import Metrics

log = get_logger(__name__)

BATCH_MAX = 500
IDLE_SECONDS = 0.02  # how long new work may wait when nobody wakes us
# What was published is soon answered: a webhook's message is applied, and its event waits for us.
SOON_SECONDS, SOON_FOR_SECONDS = 0.003, 0.05
TROUBLE_SECONDS = 1.0
LEASE = timedelta(seconds=30)  # more than one batch can take
RENEW_SECONDS = 5.0
SHARD_PREFIX = "relay:shard:"
MEMBER_PREFIX = "relay:member:"


class Relay:
    """One relay.

    Args:
        database: Where the outbox is.
        publisher: Where messages go.
        clock: For leases and stamps.
        metrics: Counts.
        owner: The name of this relay, unique among all.
        wake: Set by whoever has written messages in this process.
    """

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        clock: Clock,
        metrics: Metrics,
        *,
        owner: str,
        wake: asyncio.Event,
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._clock = clock
        self._metrics = metrics
        self._owner = owner
        self._wake = wake
        self._turn = asyncio.Lock()
        self._shards: list[int] = []
        self._renew_at = 0.0
        self._soon_until = 0.0

    async def run(self) -> None:
        """Publish until cancelled, then give the shards up."""
        try:
            while True:
                pause = await self._run_guarded()
                if pause:
                    await self._sleep(pause)
        finally:
            await asyncio.shield(self.stop())

    async def run_once(self) -> int:
        """Publish one batch; return how many messages the broker took. One call at a time works."""
        async with self._turn:
            await self._keep_shards()
            if not self._shards:
                return 0
            batch = await self._database.read(
                lambda session: outbox.list_pending(session, self._shards, limit=BATCH_MAX)
            )
            if not batch:
                return 0
            messages = [_message(row) for row in batch]
            carried = [(message.topic, message.headers) for message in messages]
            with tracing.sending(carried), failpoints.effect("relay.publish"):
                results = await self._publisher.publish(messages)
            return await self._record(batch, results)

    async def _run_guarded(self) -> float:
        """Run once; return the seconds to pause."""
        try:
            published = await self.run_once()
        except StorageUnavailable:
            log.warning("relay.storage_unavailable")
            return TROUBLE_SECONDS
        except Exception:
            log.exception("relay.failed")
            self._metrics.unhandled_errors.labels("relay").inc()
            return TROUBLE_SECONDS
        return self._pause(published)

    def _pause(self, published: int) -> float:
        now = asyncio.get_running_loop().time()
        if published:
            self._soon_until = now + SOON_FOR_SECONDS
            return 0.0
        return SOON_SECONDS if now < self._soon_until else IDLE_SECONDS

    async def _record(
        self, batch: Sequence[PendingMessage], results: Sequence[Exception | None]
    ) -> int:
        published = [row.id for row, error in zip(batch, results, strict=True) if error is None]
        refused = [
            (row, str(error))
            for row, error in zip(batch, results, strict=True)
            if isinstance(error, MessageRefused)
        ]

        async def mark(session: Session) -> None:
            if published:
                await outbox.mark_published(session, published, self._clock())
            for row, reason in refused:
                await outbox.mark_refused(session, row.id, reason)

        await self._database.transact("relay.mark", mark)
        self._count(batch, results)
        for row, reason in refused:
            log.error("relay.message_refused", message_id=row.message_id, reason=reason)
        failed = len(batch) - len(published) - len(refused)
        if failed:
            log.warning("relay.broker_unavailable", messages=failed)
            await asyncio.sleep(TROUBLE_SECONDS)
        return len(published)

    def _count(self, batch: Sequence[PendingMessage], results: Sequence[Exception | None]) -> None:
        for row, error in zip(batch, results, strict=True):
            if error is None:
                self._metrics.messages_published.labels(row.topic).inc()
            else:
                reason = "refused" if isinstance(error, MessageRefused) else "unavailable"
                self._metrics.publish_failures.labels(row.topic, reason).inc()

    async def _keep_shards(self) -> None:
        """Renew our leases, and take shards up to our fair share, now and then."""
        now = asyncio.get_running_loop().time()
        if now < self._renew_at:
            return

        async def keep(session: Session) -> list[int]:
            at = self._clock()
            member = MEMBER_PREFIX + self._owner
            await leases.acquire(session, member, owner=self._owner, now=at, duration=LEASE)
            members = await leases.count_live(session, MEMBER_PREFIX, now=at, duration=LEASE)
            share = ceil(outbox.SHARDS / members)
            held = await leases.renew(
                session, SHARD_PREFIX, owner=self._owner, now=at, duration=LEASE
            )
            mine = sorted(int(name.removeprefix(SHARD_PREFIX)) for name in held)
            for shard in mine[share:]:
                await leases.release_one(session, _lease(shard), owner=self._owner)
            mine = mine[:share]
            for shard in range(outbox.SHARDS):
                if (
                    len(mine) < share
                    and shard not in mine
                    and await leases.acquire(
                        session, _lease(shard), owner=self._owner, now=at, duration=LEASE
                    )
                ):
                    mine.append(shard)
            return mine

        self._shards = await self._database.transact("relay.keep_shards", keep)
        self._renew_at = now + RENEW_SECONDS

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    async def stop(self) -> None:
        """Give the shards up; another relay need not wait for the leases to end."""
        try:
            await self._database.transact(
                "relay.release", lambda session: leases.release(session, owner=self._owner)
            )
        except StorageUnavailable:
            log.warning("relay.leases_left")  # they run out by themselves


def _lease(shard: int) -> str:
    return f"{SHARD_PREFIX}{shard:02d}"


def _message(row: PendingMessage) -> Message:
    headers = {**row.headers, "message-id": row.message_id}
    return Message(row.topic, row.message_key, row.payload, headers)
