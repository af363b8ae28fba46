"""The webhook journal: every webhook, once per event of the provider, as it was received."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, func, select, update

from payment_service.domain.errors import NotFound
from payment_service.storage import bulk
from payment_service.storage.database import Repeat, Session
from payment_service.storage.models import WebhookEvent

RECEIVED = "received"  # waits to be applied
APPLIED = "applied"
IGNORED = "ignored"  # there is nothing to apply, `reason` says why
DEAD = "dead"  # could not be applied; waits for an operator
REJECTED = "rejected"  # the signature was wrong; evidence, never applied
STATUSES = (RECEIVED, APPLIED, IGNORED, DEAD, REJECTED)
FINAL = (APPLIED, IGNORED, REJECTED)

PAYLOAD_KEPT = timedelta(days=90)
"""Payloads name the payer. Afterwards the row stays, for ever, and the payload goes."""

_DUE = (
    select(WebhookEvent.id)
    .where(WebhookEvent.next_check_at <= bindparam("now"))
    .order_by(WebhookEvent.next_check_at)
    .limit(bindparam("limit"))
)
_ROWS = WebhookEvent.__table__.c  # the ORM looks longer at two columns than the server does
_IDS = select(_ROWS.event_id, _ROWS.id).where(
    _ROWS.provider == bindparam("provider"),
    _ROWS.event_id.in_(bindparam("event_ids", expanding=True)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which webhooks; what is not said does not matter."""

    status: str | None = None
    provider: str | None = None
    since: datetime | None = None
    reason: str | None = None  # what it begins with


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is stored and not applied."""

    waiting: int
    oldest: datetime | None  # when the longest waiting one was received
    dead: int


async def backlog(session: Session) -> Backlog:
    """Count what waits to be applied and what waits for an operator."""
    found = await session.execute(
        select(WebhookEvent.status, func.count(), func.min(WebhookEvent.received_at))
        .where(WebhookEvent.status.in_((RECEIVED, DEAD)))
        .group_by(WebhookEvent.status)
    )
    by_status = {status: (count, oldest) for status, count, oldest in found}
    waiting, oldest = by_status.get(RECEIVED, (0, None))
    dead, _ = by_status.get(DEAD, (0, None))
    return Backlog(waiting, oldest, dead)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewWebhook:
    """A webhook to write down."""

    id: str
    provider: str
    event_id: str
    schema_version: str
    payload: bytes
    status: str
    received_at: datetime
    next_check_at: datetime | None
    reason: str | None = None


async def add(session: Session, *new: NewWebhook) -> dict[str, str]:
    """Write down those of a provider whose events are not on record.

    Without a look first: nearly all are new. A statement that meets a known event is undone, and
    the transaction goes on.

    Returns:
        The id under which each event is on record: another than the new one if it was there.

    Raises:
        Repeat: One was stored between our look and our second try.
    """
    rows = [_row(each) for each in sorted(new, key=lambda each: each.event_id)]
    ids = {row["event_id"]: row["id"] for row in rows}
    try:
        await bulk.insert_all(session, WebhookEvent, rows)
    except Repeat:
        # What went before the statement that failed is found, too, under the ids that are ours.
        known = await _find_ids(session, rows[0]["provider"], list(ids))
        rest = [row for row in rows if row["event_id"] not in known]
        await bulk.insert_all(session, WebhookEvent, rest)
        return ids | known
    return ids


def _row(webhook: NewWebhook) -> dict[str, Any]:
    return {
        "id": webhook.id,
        "provider": webhook.provider,
        "event_id": webhook.event_id,
        "schema_version": webhook.schema_version,
        "payload": webhook.payload,
        "status": webhook.status,
        "reason": webhook.reason,
        "attempts": 0,
        "received_at": webhook.received_at,
        "processed_at": None if webhook.status == RECEIVED else webhook.received_at,
        "next_check_at": webhook.next_check_at,
        "redact_at": webhook.received_at + PAYLOAD_KEPT,
    }


async def _find_ids(session: Session, provider: str, event_ids: Sequence[str]) -> dict[str, str]:
    """Find webhooks that are on record; return their ids by event."""
    asked = {"provider": provider, "event_ids": bulk.padded(event_ids)}
    return {row[0]: row[1] for row in await session.execute(_IDS, asked)}


async def get_webhook(session: Session, webhook_id: str) -> WebhookEvent:
    """Read a webhook."""
    webhook = await session.get(WebhookEvent, webhook_id)
    if webhook is None:
        raise NotFound("There is no such webhook.")
    return webhook


async def lock_webhook(session: Session, webhook_id: str) -> WebhookEvent:
    """Hold a webhook. Lock it before its payment: everybody locks in that order."""
    webhook = await session.get(
        WebhookEvent, webhook_id, with_for_update=True, populate_existing=True
    )
    if webhook is None:
        raise NotFound("There is no such webhook.")
    return webhook


async def list_due(session: Session, *, now: datetime, limit: int) -> Sequence[str]:
    """Name the webhooks that still wait although they should have been applied by now."""
    return (await session.scalars(_DUE, {"now": now, "limit": limit})).all()


async def list_webhooks(session: Session, wanted: Wanted, *, limit: int) -> Sequence[WebhookEvent]:
    """List webhooks, newest first."""
    query = select(WebhookEvent)
    if wanted.status is not None:
        query = query.where(WebhookEvent.status == wanted.status)
    if wanted.provider is not None:
        query = query.where(WebhookEvent.provider == wanted.provider)
    if wanted.since is not None:
        query = query.where(WebhookEvent.received_at >= wanted.since)
    if wanted.reason is not None:
        query = query.where(WebhookEvent.reason.startswith(wanted.reason, autoescape=True))
    query = query.order_by(WebhookEvent.received_at.desc(), WebhookEvent.id.desc()).limit(limit)
    return (await session.scalars(query)).all()


async def list_unapplied(session: Session, payment_id: str) -> Sequence[WebhookEvent]:
    """List the webhooks of a payment that wait or were given up, oldest first."""
    query = (
        select(WebhookEvent)
        .where(WebhookEvent.status.in_((RECEIVED, DEAD)), WebhookEvent.payment_id == payment_id)
        .order_by(WebhookEvent.received_at)
    )
    return (await session.scalars(query)).all()


async def redact(session: Session, *, now: datetime, limit: int) -> int:
    """Take away payloads that have been kept long enough; return how many.

    Those that wait for somebody keep theirs: nothing else tells what they are about.
    """
    query = (
        select(WebhookEvent.id)
        .where(WebhookEvent.redact_at <= now, WebhookEvent.status.in_(FINAL))
        .order_by(WebhookEvent.redact_at)
        .limit(limit)
    )
    due = (await session.scalars(query)).all()
    await session.execute(
        update(WebhookEvent).where(WebhookEvent.id.in_(due)).values(payload=b"", redact_at=None)
    )
    return len(due)
