"""What an operator sees and does at the console, by the same code as on the command line."""

from collections.abc import Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry

from payment_service.domain.audit import Actor, ActorKind
from payment_service.domain.clock import Clock
from payment_service.records import (
    exceptions as cases,
    histories,
    overview,
    search,
    webhooks as letters,
)
from payment_service.storage import exceptions, webhooks
from payment_service.storage.database import Database
from payment_service.storage.exceptions import Filters
from payment_service.storage.webhooks import DEAD, Wanted
from payment_service.telemetry.metrics import CIRCUIT_STATES
from payment_service.use_cases.replay_webhook import replay_webhook

LIST_MAX = 50
_CIRCUITS = "payments_provider_circuit_state"
_LAG = "payments_consumer_lag_messages"
_COMPLETED = "payments_job_completed_timestamp_seconds"


class Desk:
    """Reads and, in one case, writes.

    Args:
        database, clock: Shared by the process.
        registry: Its metrics: breakers, lag and jobs are this process's own.
        process: What it is, to be shown: version, name, roles.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        registry: CollectorRegistry,
        process: Mapping[str, Any],
    ) -> None:
        self._database = database
        self._clock = clock
        self._registry = registry
        self._process = process

    async def overview(self) -> dict[str, Any]:
        """Show what waits everywhere, and how this process is."""
        now = self._clock()
        waiting = await self._database.read(lambda session: overview.look(session, now=now))
        return {"now": now, "process": self._process, **waiting, **self._own_state()}

    async def find(self, text: str) -> dict[str, Any]:
        """Find payments by whatever a person can tell."""
        found = await self._database.read(lambda session: search.find(session, text))
        return {
            "now": self._clock(),
            "histories": [
                {"answer": histories.answer(history["payment"])} | history
                for history in found.histories
            ],
            "unmatched": found.unmatched,
        }

    async def open_exceptions(self) -> dict[str, Any]:
        """List the money that has waited longest for a decision."""
        found = await self._database.read(
            lambda session: exceptions.list_cases(session, Filters(is_open=True), limit=LIST_MAX)
        )
        return {"now": self._clock(), "exceptions": [cases.describe(case) for case in found]}

    async def dead_letters(self) -> dict[str, Any]:
        """List the webhooks that were given up, the newest first."""
        found = await self._database.read(
            lambda session: webhooks.list_webhooks(session, Wanted(status=DEAD), limit=LIST_MAX)
        )
        return {"now": self._clock(), "webhooks": [letters.describe(row) for row in found]}

    async def webhook(self, webhook_id: str) -> dict[str, Any]:
        """Show one webhook: what it said of money, and who has had it applied again."""
        entry = await self._database.read(lambda session: letters.get_webhook(session, webhook_id))
        return {"now": self._clock(), "webhook": entry}

    async def replay(self, webhook_id: str, *, operator: str, note: str) -> None:
        """Have a webhook applied again; the audit log says who wanted it, and why."""
        actor = Actor(ActorKind.OPERATOR, operator)
        await replay_webhook(self._database, self._clock, webhook_id, actor=actor, reason=note)

    def _own_state(self) -> dict[str, Any]:
        """Read what only this process can tell."""
        samples = self._samples(_CIRCUITS, _LAG, _COMPLETED)
        return {
            "breakers": [
                {"operation": labels["operation"], "state": CIRCUIT_STATES[int(value)]}
                for labels, value in samples[_CIRCUITS]
            ],
            "lag": [
                {"topic": labels["topic"], "partition": labels["partition"], "messages": value}
                for labels, value in samples[_LAG]
            ],
            "completed": {labels["task"]: value for labels, value in samples[_COMPLETED] if value},
        }

    def _samples(self, *names: str) -> dict[str, Sequence[tuple[Mapping[str, str], float]]]:
        found: dict[str, list[tuple[Mapping[str, str], float]]] = {name: [] for name in names}
        for family in self._registry.restricted_registry(names).collect():
            found[family.name] += [(sample.labels, sample.value) for sample in family.samples]
        return dict(found)
