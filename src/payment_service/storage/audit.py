"""The audit log: who changed what, when and why. Append-only."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from payment_service.domain.audit import Actor
from payment_service.storage import bulk
from payment_service.storage.database import Session
from payment_service.storage.models import AuditEntry


async def list_entries(
    session: Session, payment_id: str, *, after: int, limit: int
) -> Sequence[AuditEntry]:
    """List the entries of a payment after a position, oldest first."""
    query = (
        select(AuditEntry)
        .where(AuditEntry.payment_id == payment_id, AuditEntry.id > after)
        .order_by(AuditEntry.id)
        .limit(limit)
    )
    return (await session.scalars(query)).all()


async def add(session: Session, entry: AuditEntry) -> None:
    """Write an entry down."""
    await bulk.insert_new(session, entry)


async def add_replay(
    session: Session, webhook_id: str, *, actor: Actor, reason: str | None, at: datetime
) -> None:
    """Note who has had a webhook applied again; it is no change of a payment yet."""
    await add(
        session,
        AuditEntry(
            webhook_id=webhook_id,
            at=at,
            actor=actor.kind,
            actor_id=actor.id,
            action="webhook.replayed",
            version=0,
            reason=reason,
            request_id=actor.request_id,
        ),
    )


async def list_replays(session: Session, webhook_ids: Sequence[str]) -> Sequence[AuditEntry]:
    """List who has had some webhooks applied again, oldest first."""
    query = select(AuditEntry).where(AuditEntry.webhook_id.in_(webhook_ids)).order_by(AuditEntry.id)
    return (await session.scalars(query)).all()
