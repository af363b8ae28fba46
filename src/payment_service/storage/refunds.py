"""Queries about refunds."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import bindparam, func, select, update

from payment_service.domain.errors import NotFound
from payment_service.domain.refund import EXCESS_REASONS, RefundStatus
from payment_service.storage import guarded
from payment_service.storage.database import Session
from payment_service.storage.models import Payment, Refund

_DUE = (
    select(Refund.id)
    .where(Refund.next_check_at <= bindparam("now"))
    .order_by(Refund.next_check_at)
    .limit(bindparam("limit"))
)


async def get_refund(session: Session, tenant_id: str, payment_id: str, refund_id: str) -> Refund:
    """Read a refund of a tenant's payment."""
    refund = await session.get(Refund, refund_id)
    if refund is None or refund.tenant_id != tenant_id or refund.payment_id != payment_id:
        raise NotFound("There is no such refund.")
    return refund


async def lock_refund(session: Session, refund_id: str) -> Refund:
    """Hold a refund. Lock its payment first: everybody locks in that order."""
    refund = await session.get(Refund, refund_id, with_for_update=True, populate_existing=True)
    if refund is None:
        raise NotFound("There is no such refund.")
    return refund


async def find_by_reference(session: Session, tenant_id: str, reference: str) -> Refund | None:
    """Find the refund that keeps a reference in use."""
    return await session.scalar(
        select(Refund).where(Refund.tenant_id == tenant_id, Refund.reference == reference)
    )


async def find_payment_id(session: Session, refund_id: str) -> str | None:
    """Name the payment of a refund, so that it can be locked first."""
    return await session.scalar(select(Refund.payment_id).where(Refund.id == refund_id))


async def reserve(session: Session, payment_id: str, amount: int) -> bool:
    """Reserve `amount` (minor units) of a payment's money, if that much is left.

    One guarded UPDATE: reading the sum first and writing later over-refunds under concurrency.
    """
    return await guarded.change_one(
        session,
        update(Payment)
        .where(
            Payment.id == payment_id,
            Payment.amount_received - Payment.amount_refunded - Payment.amount_reserved >= amount,
        )
        .values(amount_reserved=Payment.amount_reserved + amount)
        .execution_options(synchronize_session=False),
    )


async def list_refunds(
    session: Session, payment_id: str, *, limit: int, before: tuple[datetime, str] | None
) -> Sequence[Refund]:
    """List the refunds of a payment, newest first, after the position `before` (created_at, id)."""
    query = select(Refund).where(Refund.payment_id == payment_id)
    if before is not None:
        at, refund_id = before
        query = query.where(
            (Refund.created_at < at) | ((Refund.created_at == at) & (Refund.id < refund_id))
        )
    query = query.order_by(Refund.created_at.desc(), Refund.id.desc()).limit(limit)
    return (await session.scalars(query)).all()


async def list_due(session: Session, *, now: datetime, limit: int) -> Sequence[str]:
    """Name the refunds that want to be looked at, the longest waiting first."""
    return (await session.scalars(_DUE, {"now": now, "limit": limit})).all()


async def backlog(session: Session) -> tuple[int, datetime | None]:
    """Count what was not paid out yet, and tell since when the oldest waits."""
    found = await session.execute(
        select(func.count(), func.min(Refund.created_at)).where(
            Refund.status == RefundStatus.PENDING,
            Refund.next_check_at.is_not(None),  # as always; the index leaves all others out
        )
    )
    count, oldest = found.one()
    return count, oldest


async def sum_of_excess(
    session: Session, payment_ids: Collection[str], statuses: Collection[RefundStatus]
) -> dict[str, int]:
    """Add up the refunds of each payment that give back what was paid too much (minor units)."""
    rows = await session.execute(
        select(Refund.payment_id, func.sum(Refund.amount))
        .where(
            Refund.payment_id.in_(payment_ids),
            Refund.reason.in_(EXCESS_REASONS),
            Refund.status.in_(statuses),
        )
        .group_by(Refund.payment_id)
    )
    return dict.fromkeys(payment_ids, 0) | {payment_id: int(total) for payment_id, total in rows}
