"""What waits, at a glance: how much of each kind, since when, and what each job has to do now."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from payment_service.storage import exceptions, idempotency, outbox, payments, refunds, webhooks
from payment_service.storage.database import Session
from payment_service.use_cases.cancel_payment import OPERATION as CANCELLATION
from payment_service.use_cases.create_payment import OPERATION as CREATION

DUE_MAX = 100  # that are counted of each job: whoever looks needs no more

_Find = Callable[..., Awaitable[Sequence[str]]]
# In the order in which the scheduler works.
_JOBS: tuple[tuple[str, _Find], ...] = (
    ("creations", partial(idempotency.list_abandoned, operation=CREATION)),
    ("refunds", refunds.list_due),
    ("webhooks", webhooks.list_due),
    ("overdue", payments.list_overdue),
    ("payments", payments.list_due),
    ("closed", payments.list_closed_due),
    ("cancellations", partial(idempotency.list_abandoned, operation=CANCELLATION)),
)


async def look(session: Session, *, now: datetime) -> dict[str, Any]:
    """Count what waits; every query goes by an index."""
    messages = await outbox.backlog(session)
    stored = await webhooks.backlog(session)
    unpaid, unpaid_since = await refunds.backlog(session)
    open_cases, open_since = await exceptions.backlog(session)
    return {
        "outbox": {"count": messages.pending, "since": messages.oldest},
        "refused": {"count": messages.refused, "since": None},
        "webhooks": {"count": stored.waiting, "since": stored.oldest},
        "dead": {"count": stored.dead, "since": None},
        "refunds": {"count": unpaid, "since": unpaid_since},
        "exceptions": {"count": open_cases, "since": open_since},
        "unlooked_at": await payments.find_oldest_due(session, now=now),
        "unfinished": await idempotency.find_oldest_open(session, CREATION),
        "jobs": [
            {"name": name, "due": len(await find(session, now=now, limit=DUE_MAX))}
            for name, find in _JOBS
        ],
    }
