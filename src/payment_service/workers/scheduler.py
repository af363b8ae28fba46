"""Does what nobody asks for: looks after payments, refunds and webhooks that are due.

Several schedulers may run; one holds the lease and works. Everything that is not final has a time
at which it is looked at, so nothing waits for an event only.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import takewhile
from typing import Protocol

from payment_service.domain.clock import Clock
from payment_service.domain.errors import StorageUnavailable
from payment_service.domain.idempotency import RenderError
from payment_service.domain.quota import Quota
from payment_service.providers import deadline
from payment_service.providers.provider import PaymentProvider, ProviderError
from payment_service.storage import (
    idempotency,
    leases,
    outbox,
    payments,
    refunds,
    webhooks,
)
from payment_service.storage.database import Database, Session
from payment_service.telemetry import tracing
from payment_service.telemetry.logging import bound, get_logger
from payment_service.telemetry.metrics import Metrics
from payment_service.use_cases.cancel_payment import (
    OPERATION as CANCELLATION,
    complete_cancellation,
)
from payment_service.use_cases.check_payment import CHECK_CALLS, OVERDUE_CALLS, check_payment
from payment_service.use_cases.create_payment import (
    OPERATION as CREATION,
    RenderPayment,
    complete_payment,
)
from payment_service.use_cases.pay_out_refund import pay_out_refund
from payment_service.workers.auditor import Auditor
from payment_service.workers.consumer import Consumer

log = get_logger(__name__)

TICK_SECONDS = 0.5
LEASE_NAME = "scheduler"
LEASE = timedelta(seconds=15)
BATCH_MAX = 100
ITEM_SECONDS = 12.0  # that one item may work with the provider; less than the lease
CONCURRENCY_MAX = 8  # calls to the provider at a time
RECONCILE_CALLS_PER_MINUTE = 180  # however much is due, new payments find the provider free
RECONCILE_CALLS_BURST = 30
PURGE_MAX = 1000
HOUSEKEEPING_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Job:
    """Finds what is due, and deals with one of it.

    `calls` to the provider are taken from the budget for each; what exceeds it stays due.
    """

    name: str
    find: Callable[[Session], Awaitable[Sequence[str]]]
    do: Callable[[str], Awaitable[None]]
    calls: int = 0


class Scheduler:
    """One scheduler.

    Args:
        database, provider, clock, metrics: Shared by the process.
        consumer: Applies webhooks that no message told of.
        render, render_canceled, render_error: Write the answers to requests that died.
        owner: Its name, unique among all.
    """

    def __init__(
        self,
        database: Database,
        provider: PaymentProvider,
        clock: Clock,
        metrics: Metrics,
        consumer: Consumer,
        *,
        render: RenderPayment,
        render_canceled: RenderPayment,
        render_error: RenderError,
        owner: str,
    ) -> None:
        self._database = database
        self._clock = clock
        self._metrics = metrics
        self._owner = owner
        self._auditor = Auditor(database, clock, metrics)
        self._turn = asyncio.Lock()
        self._housekeeping_at: datetime | None = None
        self._budget = Quota(
            clock, per_minute=RECONCILE_CALLS_PER_MINUTE, burst=RECONCILE_CALLS_BURST
        )

        async def check(payment_id: str) -> None:
            await check_payment(database, provider, clock, payment_id, spend=self._budget.spend)

        # In the order of what is at risk: the first jobs have the budget first.
        self._jobs = (
            Job(
                "creations",
                _due(partial(idempotency.list_abandoned, operation=CREATION), clock),
                lambda payment_id: complete_payment(
                    database, provider, clock, payment_id, render=render, render_error=render_error
                ),
            ),
            Job(
                "refunds",
                _due(refunds.list_due, clock),
                lambda refund_id: pay_out_refund(database, provider, clock, refund_id),
            ),
            Job("webhooks", _due(webhooks.list_due, clock), consumer.apply),
            Job("overdue", _due(payments.list_overdue, clock), check, OVERDUE_CALLS),
            Job("payments", _due(payments.list_due, clock), check, CHECK_CALLS),
            Job("closed", _due(payments.list_closed_due, clock), check, CHECK_CALLS),
            Job(
                "cancellations",
                _due(partial(idempotency.list_abandoned, operation=CANCELLATION), clock),
                lambda payment_id: complete_cancellation(
                    database, clock, payment_id, render=render_canceled, render_error=render_error
                ),
            ),
        )

    async def run(self) -> None:
        """Work until cancelled, then give the lease up."""
        try:
            while True:
                try:
                    await self.run_once()
                except StorageUnavailable:
                    log.warning("scheduler.storage_unavailable")
                except Exception:
                    log.exception("scheduler.failed")
                    self._metrics.unhandled_errors.labels("scheduler").inc()
                await asyncio.sleep(TICK_SECONDS)
        finally:
            await asyncio.shield(self._release())

    async def run_once(self) -> int:
        """Deal with all that is due now, if the lease is ours; return how many items.

        One call at a time works.
        """
        async with self._turn:
            if not await self._is_active():
                self._auditor.forget()
                return 0
            worked = 0
            for job in self._jobs:
                worked += await self._run_job(job)
                self._note_completed(job.name)
            await self._look_around()
            return worked

    async def _look_around(self) -> None:
        await self._keep_house()
        self._metrics.job_runs.labels("audit", "ok").inc(await self._auditor.run_once() or 0)
        self._note_completed("audit")

    def _note_completed(self, job: str) -> None:
        self._metrics.job_completed.labels(job).set(self._clock().timestamp())

    async def _is_active(self) -> bool:
        return await self._database.transact(
            "scheduler.lease",
            lambda session: leases.acquire(
                session, LEASE_NAME, owner=self._owner, now=self._clock(), duration=LEASE
            ),
        )

    async def _run_job(self, job: Job) -> int:
        due = await self._database.read(job.find)
        if job.calls:
            due = list(takewhile(lambda _: self._budget.take(job.calls), due))
        if not due:
            return 0
        started = asyncio.get_running_loop().time()
        turn = asyncio.Semaphore(CONCURRENCY_MAX)

        async def one(item: str) -> None:
            async with turn:
                await self._run_item(job, item)

        await asyncio.gather(*(one(item) for item in due))
        taken = asyncio.get_running_loop().time() - started
        self._metrics.job_seconds.labels(job.name).observe(taken)
        return len(due)

    async def _run_item(self, job: Job, item: str) -> None:
        outcome = "ok"
        with bound(job=job.name, item=item), tracing.span(f"job {job.name}"):
            try:
                with deadline.within(ITEM_SECONDS):
                    await job.do(item)
            except ProviderError as error:
                outcome = "failed"
                tracing.fail(error)
                log.warning("job.provider_failed", error=type(error).__name__)
            except StorageUnavailable as error:
                outcome = "failed"
                tracing.fail(error)
                log.warning("job.storage_unavailable")
            except Exception as error:
                outcome = "failed"
                tracing.fail(error)
                log.exception("job.failed")
                self._metrics.unhandled_errors.labels("scheduler").inc()
        self._metrics.job_runs.labels(job.name, outcome).inc()

    async def _keep_house(self) -> None:
        """Forget what may be forgotten, in bounded batches."""
        at = self._clock()
        if self._housekeeping_at is not None and at < self._housekeeping_at:
            return
        self._housekeeping_at = at + HOUSEKEEPING_EVERY
        forgotten = await self._database.transact(
            "scheduler.purge_keys",
            lambda session: idempotency.purge(session, now=at, limit=PURGE_MAX),
        )
        forgotten += await self._database.transact(
            "scheduler.purge_outbox",
            lambda session: outbox.purge(
                session, published_before=at - outbox.KEPT, limit=PURGE_MAX
            ),
        )
        forgotten += await self._database.transact(
            "scheduler.redact_webhooks",
            lambda session: webhooks.redact(session, now=at, limit=PURGE_MAX),
        )
        if forgotten >= PURGE_MAX:
            self._housekeeping_at = at  # more is waiting: go on at the next turn
        self._metrics.job_runs.labels("housekeeping", "ok").inc(forgotten)
        self._note_completed("housekeeping")

    async def _release(self) -> None:
        try:
            await self._database.transact(
                "scheduler.release", lambda session: leases.release(session, owner=self._owner)
            )
        except StorageUnavailable:
            log.warning("scheduler.lease_left")  # it runs out by itself


class _ListDue(Protocol):
    def __call__(
        self, session: Session, /, *, now: datetime, limit: int
    ) -> Awaitable[Sequence[str]]: ...


def _due(list_due: _ListDue, clock: Clock) -> Callable[[Session], Awaitable[Sequence[str]]]:
    return lambda session: list_due(session, now=clock(), limit=BATCH_MAX)
