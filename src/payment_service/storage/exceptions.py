"""Queries about money exceptions: the queue of what somebody must decide."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, func, select

from payment_service.domain import money_exception as rules
from payment_service.domain.errors import NotFound
from payment_service.domain.money_exception import Action
from payment_service.domain.payment import PaymentStatus
from payment_service.domain.receipt import ExceptionCode
from payment_service.domain.refund import RefundStatus
from payment_service.storage import refunds
from payment_service.storage.database import Session
from payment_service.storage.models import MoneyException, Payment, Receipt

_PROMISED = (RefundStatus.PENDING, RefundStatus.SUCCEEDED)


@dataclass(frozen=True, slots=True)
class Case:
    """An exception, and what decides what can be done about it."""

    exception: MoneyException
    payment: Payment | None
    receipt: Receipt | None
    excess_refunded: int  # of the payment, reserved included; minor units

    @property
    def available(self) -> int:
        """How much of its money can be refunded or applied now."""
        if self.exception.resolved_at is not None:
            return 0
        if self.payment is None:
            return self.exception.amount_held
        return rules.available(
            ExceptionCode(self.exception.code),
            status=PaymentStatus(self.payment.status),
            held=self.exception.amount_held,
            refundable=self.payment.amount_refundable,
            excess_left=self.payment.amount_unapplied - self.excess_refunded,
        )

    @property
    def allowed_actions(self) -> tuple[Action, ...]:
        """What can be done now."""
        if self.exception.resolved_at is not None:
            return ()
        return rules.allowed_actions(
            ExceptionCode(self.exception.code),
            status=PaymentStatus(self.payment.status) if self.payment else None,
            available=self.available,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which exceptions; None is any. Without a tenant they are everybody's, the unmatched too."""

    tenant_id: str | None = None
    is_open: bool | None = None
    code: str | None = None
    payment_id: str | None = None
    order_reference: str | None = None


async def get_exception(
    session: Session, exception_id: str, *, tenant_id: str | None = None
) -> MoneyException:
    """Read an exception; with `tenant_id` only if it is that tenant's."""
    exception = await session.get(MoneyException, exception_id)
    if exception is None or (tenant_id is not None and exception.tenant_id != tenant_id):
        raise NotFound("There is no such exception.")
    return exception


async def lock_exception(session: Session, exception_id: str) -> MoneyException:
    """Hold an exception. Lock its payment first: everybody locks in that order."""
    exception = await session.get(
        MoneyException, exception_id, with_for_update=True, populate_existing=True
    )
    if exception is None:
        raise NotFound("There is no such exception.")
    return exception


async def find_by_resolving_refund(session: Session, refund_id: str) -> MoneyException | None:
    """Find the exception that a refund was to resolve."""
    return await session.scalar(
        select(MoneyException).where(MoneyException.resolution_refund_id == refund_id)
    )


async def get_case(session: Session, exception_id: str, *, tenant_id: str | None = None) -> Case:
    """Read an exception with what decides about it; another tenant's does not exist."""
    await get_exception(session, exception_id, tenant_id=tenant_id)
    return (await _cases(session, _query().where(MoneyException.id == exception_id)))[0]


async def list_cases(
    session: Session,
    filters: Filters,
    *,
    limit: int,
    after: tuple[datetime, str] | None = None,
) -> Sequence[Case]:
    """List exceptions, oldest first, after the position `after` (raised_at, id)."""
    query = _query()
    if filters.tenant_id is not None:
        query = query.where(MoneyException.tenant_id == filters.tenant_id)
    if filters.is_open is not None:
        is_open = MoneyException.resolved_at.is_(None)
        query = query.where(is_open if filters.is_open else ~is_open)
    if filters.code is not None:
        query = query.where(MoneyException.code == filters.code)
    if filters.payment_id is not None:
        query = query.where(MoneyException.payment_id == filters.payment_id)
    if filters.order_reference is not None:
        query = query.where(Payment.order_reference == filters.order_reference)
    if after is not None:
        at, exception_id = after
        query = query.where(
            (MoneyException.raised_at > at)
            | ((MoneyException.raised_at == at) & (MoneyException.id > exception_id))
        )
    query = query.order_by(MoneyException.raised_at, MoneyException.id).limit(limit)
    return await _cases(session, query)


async def backlog(session: Session) -> tuple[int, datetime | None]:
    """Count what is open, and tell since when the oldest is."""
    row = (
        await session.execute(
            select(func.count(), func.min(MoneyException.raised_at)).where(
                MoneyException.resolved_at.is_(None)
            )
        )
    ).one()
    return row[0], row[1]


_Rows = Select[MoneyException, Payment, Receipt]


def _query() -> _Rows:
    return (
        select(MoneyException, Payment, Receipt)
        .outerjoin(Payment, Payment.id == MoneyException.payment_id)
        .outerjoin(Receipt, Receipt.id == MoneyException.receipt_id)
    )


async def _cases(session: Session, query: _Rows) -> Sequence[Case]:
    rows = (await session.execute(query)).all()
    payment_ids = {payment.id for _, payment, _ in rows if payment is not None}
    excess = await refunds.sum_of_excess(session, payment_ids, _PROMISED) if payment_ids else {}
    return [
        Case(exception, payment, receipt, excess[payment.id] if payment is not None else 0)
        for exception, payment, receipt in rows
    ]
