"""Checks in production what the tests check: that all money adds up and nothing is forgotten.

What has changed is checked every minute, everything once a day, a bounded chunk at a time. A row
that breaks a rule stays in view until it is in order again, also when nobody touches it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from payment_service.domain.clock import Clock
from payment_service.storage import invariants
from payment_service.storage.database import Database
from payment_service.telemetry.logging import get_logger
from payment_service.telemetry.metrics import Metrics

log = get_logger(__name__)

CHANGED_EVERY = timedelta(minutes=1)
ALL_EVERY = timedelta(days=1)
OVERLAP = timedelta(minutes=5)  # clocks differ, and a change is stamped before it is committed
CHUNKS_MAX = 4  # of `invariants.CHUNK_MAX` payments, in one step
KNOWN_MAX = 500  # rows kept in view of one rule

_Position = tuple[datetime, str]


class Auditor:
    """Runs the invariants, a step at a time; `run_once` never takes long."""

    def __init__(self, database: Database, clock: Clock, metrics: Metrics) -> None:
        self._database = database
        self._clock = clock
        self._metrics = metrics
        self._known: dict[str, set[str]] = {}  # the rows that break a rule, by rule
        self._changed_at = self._all_at = clock()
        self._changed_after: _Position = (clock(), "")
        self._all_after: str | None = None  # None between two audits of everything
        self.forget()

    def forget(self) -> None:
        """Begin anew: whoever becomes the active scheduler trusts nobody's memory.

        Who is not active any more shows no findings: they are another's to tell.
        """
        now = self._clock()
        self._known = {rule: set() for rule in invariants.QUERIES}
        for rule in self._known:
            self._metrics.audit_violations.labels(rule).set(0)
        self._changed_at = self._all_at = now
        self._changed_after = (now - OVERLAP, "")
        self._all_after = None

    async def run_once(self) -> int | None:
        """Take the step that is due; return how many payments it looked at, None without one."""
        now = self._clock()
        if now >= self._changed_at:
            return await self._audit_changed(now)
        if self._all_after is None and now >= self._all_at:
            self._all_after = ""
        if self._all_after is not None:
            return await self._audit_all(now)
        return None

    async def _audit_changed(self, now: datetime) -> int:
        """Check what waits, what has changed, and what was not in order the last time."""
        await self._check_queues(now)
        seen = await self._recheck(now)
        for _ in range(CHUNKS_MAX):
            rows = await self._database.read(
                lambda session: invariants.list_changed(session, after=self._changed_after)
            )
            await self._check_payments([payment_id for _, payment_id in rows], now)
            seen += len(rows)
            if len(rows) < invariants.CHUNK_MAX:
                self._changed_after = (now - OVERLAP, "")
                self._changed_at = now + CHANGED_EVERY
                break
            self._changed_after = rows[-1]
        return seen

    async def _audit_all(self, now: datetime) -> int:
        after = self._all_after or ""
        chunk = await self._database.read(
            lambda session: invariants.list_chunk(session, after=after)
        )
        await self._check_payments(chunk, now)
        self._all_after = chunk[-1] if chunk else None
        if len(chunk) < invariants.CHUNK_MAX:
            self._all_after = None
            self._all_at = now + ALL_EVERY
            self._metrics.audit_completed.set(now.timestamp())
        return len(chunk)

    async def _check_queues(self, now: datetime) -> None:
        found = await self._database.read(lambda session: invariants.audit_queues(session, now=now))
        for rule in invariants.RULES_OF_QUEUES:
            self._note(rule, {row for broken, row in found if broken == rule})

    async def _recheck(self, now: datetime) -> int:
        """Look again at every payment that breaks a rule."""
        broken = sorted(set().union(*(self._known[r] for r in invariants.RULES_OF_PAYMENTS)))
        for start in range(0, len(broken), invariants.CHUNK_MAX):
            await self._check_payments(broken[start : start + invariants.CHUNK_MAX], now)
        return len(broken)

    async def _check_payments(self, payments: Sequence[str], now: datetime) -> None:
        if not payments:
            return
        found = await self._database.read(
            lambda session: invariants.audit_payments(session, payments, now=now)
        )
        for rule in invariants.RULES_OF_PAYMENTS:
            rows = {row for broken, row in found if broken == rule}
            self._note(rule, self._known[rule].difference(payments) | rows)

    def _note(self, rule: str, rows: set[str]) -> None:
        """Keep the rows that break a rule now, and tell of those that are new."""
        news = rows - self._known[rule]
        if news:
            log.error("audit.violation", invariant=rule, ids=sorted(news))
        self._known[rule] = set(sorted(rows)[:KNOWN_MAX])
        self._metrics.audit_violations.labels(rule).set(len(rows))
