"""The audit log: who changed what, when and why. Append-only."""

from collections.abc import Sequence

from sqlalchemy import select

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
