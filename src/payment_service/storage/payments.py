"""Queries about payments, their links at the provider, receipts and exceptions.

get_* raises NotFound, find_* returns None, lock_* holds the row until the transaction ends. What
every request asks is built once, at import: building costs as much as sending it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Table, bindparam, func, select, update
from sqlalchemy.exc import IntegrityError

from payment_service.domain.errors import NotFound
from payment_service.domain.payment import PaymentStatus
from payment_service.storage import bulk, guarded
from payment_service.storage.database import Repeat, Session
from payment_service.storage.faults import is_duplicate
from payment_service.storage.models import (
    Base,
    MoneyException,
    Payment,
    PaymentAttempt,
    Reallocation,
    Receipt,
)

ATTEMPT_OPENING = "opening"  # the provider may or may not know it
ATTEMPT_OPEN = "open"
ATTEMPT_CLOSING = "closing"  # its QR code was lost: it is closed at the provider, never shown
ATTEMPT_CLOSED = "closed"

_PAYMENT_TABLE = cast("Table", Payment.__table__)
_ATTEMPT_TABLE = cast("Table", PaymentAttempt.__table__)
_LIVE_BY_ORDER = select(Payment).where(
    Payment.tenant_id == bindparam("tenant_id"),
    Payment.live_order_reference == bindparam("order_reference"),
)
_LATEST_ATTEMPT = (
    select(PaymentAttempt)
    .where(PaymentAttempt.payment_id == bindparam("payment_id"))
    .order_by(PaymentAttempt.number.desc())
    .limit(1)
)
_ATTEMPTS = (
    select(PaymentAttempt)
    .where(PaymentAttempt.payment_id.in_(bindparam("payment_ids", expanding=True)))
    .order_by(PaymentAttempt.number)
)
_ATTEMPT_BY_ORDER_CODE = select(PaymentAttempt).where(
    PaymentAttempt.order_code == bindparam("order_code")
)
_OPEN_EXCEPTIONS = (
    select(MoneyException)
    .where(
        MoneyException.payment_id.in_(bindparam("payment_ids", expanding=True)),
        MoneyException.resolved_at.is_(None),
    )
    .order_by(MoneyException.raised_at, MoneyException.id)
)
_LOCKED_WITH_LINKS = (
    select(Payment, PaymentAttempt)
    .join(PaymentAttempt, PaymentAttempt.payment_id == Payment.id)
    .where(Payment.id == bindparam("payment_id"))
    .order_by(PaymentAttempt.number)
    .with_for_update()
    .execution_options(populate_existing=True)
)
_OPENED_PAYMENT = ("version", "updated_at", "next_check_at")
_OPENED_ATTEMPT = ("state", "provider_reference", "checkout_url", "qr_code")
_OPEN_PAYMENT = (
    update(_PAYMENT_TABLE)
    .where(_PAYMENT_TABLE.c.id == bindparam("row_id"))
    .values({name: bindparam(name) for name in _OPENED_PAYMENT})
)
_OPEN_ATTEMPT = (
    update(_ATTEMPT_TABLE)
    .where(_ATTEMPT_TABLE.c.id == bindparam("row_id"), _ATTEMPT_TABLE.c.state == ATTEMPT_OPENING)
    .values({name: bindparam(name) for name in _OPENED_ATTEMPT})
)
_DUE = (
    select(Payment.id)
    .where(Payment.next_check_at <= bindparam("now"))
    .order_by(Payment.next_check_at)
    .limit(bindparam("limit"))
)
_PENDING_DUE = _DUE.where(Payment.status == PaymentStatus.PENDING)
_OVERDUE = _PENDING_DUE.where(Payment.expires_at <= bindparam("now"))
_DUE_IN_TIME = _PENDING_DUE.where(Payment.expires_at > bindparam("now"))
_CLOSED_DUE = _DUE.where(Payment.status != PaymentStatus.PENDING)
_RECEIPTS_OF_TRANSFER = select(Receipt).where(
    Receipt.provider == bindparam("provider"),
    Receipt.provider_reference == bindparam("provider_reference"),
    Receipt.bank_reference == bindparam("bank_reference"),
)


async def add(session: Session, *rows: Base) -> None:
    """Insert now.

    Raises:
        Repeat: A unique key is taken: whoever looks again will find the other row.
    """
    session.add_all(rows)
    try:
        await session.flush()
    except IntegrityError as error:
        if is_duplicate(error):
            raise Repeat from error
        raise


async def reserve(session: Session, payment: Payment, attempt: PaymentAttempt) -> None:
    """Write a new payment and its first link down. Whoever changes them must load them.

    Raises:
        Repeat: The order reference, or another unique key, is taken.
    """
    await bulk.insert_new(session, payment)
    await bulk.insert_new(session, attempt)


async def save(session: Session, payment: Payment, attempt: PaymentAttempt) -> None:
    """Write down how a payment and its link have changed.

    What the session has not read is what was reserved a moment ago. It is opened without being
    read, if nobody was faster: money, and whoever takes a creation over, move its link out of
    the state that it was reserved in (`ledger.receipts`, `ledger.links`).

    Raises:
        Repeat: Somebody was: whoever reads it will see how.
    """
    if payment in session:
        await session.flush()
        return
    await session.execute(_OPEN_PAYMENT, _row_of(payment, _OPENED_PAYMENT))
    if not await guarded.change_one(session, _OPEN_ATTEMPT, _row_of(attempt, _OPENED_ATTEMPT)):
        raise Repeat


async def get_payment(session: Session, tenant_id: str, payment_id: str) -> Payment:
    """Read a payment of a tenant; another tenant's does not exist."""
    payment = await session.get(Payment, payment_id)
    if payment is None or payment.tenant_id != tenant_id:
        raise NotFound("There is no such payment.")
    return payment


async def get_payment_of(session: Session, attempt: PaymentAttempt) -> Payment:
    """Read the payment of a link."""
    return await session.get_one(Payment, attempt.payment_id)


async def lock_payment(
    session: Session, payment_id: str, *, tenant_id: str | None = None
) -> Payment:
    """Hold a payment; with `tenant_id` only if it is that tenant's."""
    payment = await session.get(Payment, payment_id, with_for_update=True, populate_existing=True)
    if payment is None or (tenant_id is not None and payment.tenant_id != tenant_id):
        raise NotFound("There is no such payment.")
    return payment


async def lock_with_link(session: Session, payment_id: str) -> tuple[Payment, PaymentAttempt]:
    """Hold a payment and its links; return the newest link. What was read before is refreshed.

    The payment's row is locked first: everybody locks in that order.
    """
    rows = (await session.execute(_LOCKED_WITH_LINKS, {"payment_id": payment_id})).all()
    if not rows:
        raise NotFound("There is no such payment.")
    payment, latest = rows[-1]
    return payment, latest


async def lock_payments(
    session: Session, *payment_ids: str | None, tenant_id: str | None
) -> dict[str, Payment]:
    """Hold several payments, in the order of their ids: everybody locks in that order."""
    ids = sorted({payment_id for payment_id in payment_ids if payment_id is not None})
    return {each: await lock_payment(session, each, tenant_id=tenant_id) for each in ids}


async def move_out(session: Session, payment_id: str, *, amount: int, released: int) -> bool:
    """Take `amount` out of a payment, if that much is neither refunded nor reserved.

    `released` is how much of it had been applied. One guarded UPDATE, as for refunds.
    """
    return await guarded.change_one(
        session,
        update(Payment)
        .where(
            Payment.id == payment_id,
            Payment.amount_received - Payment.amount_refunded - Payment.amount_reserved >= amount,
            Payment.amount_applied >= released,
        )
        .values(
            amount_received=Payment.amount_received - amount,
            amount_applied=Payment.amount_applied - released,
        )
        .execution_options(synchronize_session=False),
    )


async def find_live_by_order(
    session: Session, tenant_id: str, order_reference: str
) -> Payment | None:
    """Find the payment that keeps an order reference in use."""
    asked = {"tenant_id": tenant_id, "order_reference": order_reference}
    return await session.scalar(_LIVE_BY_ORDER, asked)


async def get_latest_attempt(session: Session, payment_id: str) -> PaymentAttempt:
    """Read the newest link of a payment; there always is one."""
    attempt = await session.scalar(_LATEST_ATTEMPT, {"payment_id": payment_id})
    if attempt is None:
        raise NotFound("The payment has no link.")
    return attempt


async def list_latest_attempts(
    session: Session, payment_ids: Sequence[str]
) -> dict[str, PaymentAttempt]:
    """Read the newest link of each payment."""
    rows = await session.scalars(_ATTEMPTS, {"payment_ids": payment_ids})
    return {attempt.payment_id: attempt for attempt in rows}


async def list_replaced_order_codes(session: Session, latest: PaymentAttempt) -> Sequence[int]:
    """Name the earlier links of a payment that are its own: the provider has told of them."""
    if latest.number == 1:
        return ()
    query = select(PaymentAttempt.order_code).where(
        PaymentAttempt.payment_id == latest.payment_id,
        PaymentAttempt.number < latest.number,
        PaymentAttempt.provider_reference.is_not(None),
    )
    return (await session.scalars(query.order_by(PaymentAttempt.number))).all()


async def find_attempt_by_order_code(session: Session, order_code: int) -> PaymentAttempt | None:
    """Find the link that the provider knows by our order code."""
    return await session.scalar(_ATTEMPT_BY_ORDER_CODE, {"order_code": order_code})


async def find_attempt_by_qr_token(session: Session, qr_token: str) -> PaymentAttempt | None:
    """Find a link by the name of its picture."""
    return await session.scalar(select(PaymentAttempt).where(PaymentAttempt.qr_token == qr_token))


async def list_payments(
    session: Session,
    tenant_id: str,
    *,
    limit: int,
    before: tuple[datetime, str] | None,
    status: PaymentStatus | None = None,
    order_reference: str | None = None,
    created_from: datetime | None = None,
    created_before: datetime | None = None,
) -> Sequence[Payment]:
    """List payments, newest first, after the position `before` (created_at, id)."""
    query = select(Payment).where(Payment.tenant_id == tenant_id)
    if status is not None:
        query = query.where(Payment.status == status)
    if order_reference is not None:
        query = query.where(Payment.order_reference == order_reference)
    if created_from is not None:
        query = query.where(Payment.created_at >= created_from)
    if created_before is not None:
        query = query.where(Payment.created_at < created_before)
    if before is not None:
        at, payment_id = before
        query = query.where(
            (Payment.created_at < at) | ((Payment.created_at == at) & (Payment.id < payment_id))
        )
    query = query.order_by(Payment.created_at.desc(), Payment.id.desc()).limit(limit)
    return (await session.scalars(query)).all()


async def list_overdue(session: Session, *, now: datetime, limit: int) -> Sequence[str]:
    """Name the due payments that are pending after their time: their links must be closed."""
    return (await session.scalars(_OVERDUE, {"now": now, "limit": limit})).all()


async def list_due(session: Session, *, now: datetime, limit: int) -> Sequence[str]:
    """Name the other due payments that are pending, the longest waiting first."""
    return (await session.scalars(_DUE_IN_TIME, {"now": now, "limit": limit})).all()


async def list_closed_due(session: Session, *, now: datetime, limit: int) -> Sequence[str]:
    """Name the closed payments whose links are to be looked at, the longest waiting first."""
    return (await session.scalars(_CLOSED_DUE, {"now": now, "limit": limit})).all()


async def find_oldest_due(session: Session, *, now: datetime) -> datetime | None:
    """Tell since when the longest waiting payment wants to be looked at."""
    return await session.scalar(
        select(func.min(Payment.next_check_at)).where(Payment.next_check_at <= now)
    )


async def list_open_exceptions(
    session: Session, payment_ids: Sequence[str]
) -> Sequence[MoneyException]:
    """List the open questions about some payments, oldest first."""
    return (await session.scalars(_OPEN_EXCEPTIONS, {"payment_ids": payment_ids})).all()


async def list_receipts_of_transfer(
    session: Session, *, provider: str, provider_reference: str, bank_reference: str
) -> Sequence[Receipt]:
    """List what is on record under a bank's reference for one link; one row, normally."""
    asked = {
        "provider": provider,
        "provider_reference": provider_reference,
        "bank_reference": bank_reference,
    }
    return (await session.scalars(_RECEIPTS_OF_TRANSFER, asked)).all()


async def list_receipts(session: Session, payment_id: str) -> Sequence[Receipt]:
    """List the transfers whose money came to a payment, oldest first."""
    moved_in = select(Reallocation.receipt_id).where(Reallocation.to_payment_id == payment_id)
    query = (
        select(Receipt)
        .where((Receipt.payment_id == payment_id) | Receipt.id.in_(moved_in))
        .order_by(Receipt.recorded_at, Receipt.id)
    )
    return (await session.scalars(query)).all()


async def make_due(session: Session, payment_id: str, *, now: datetime) -> None:
    """Have a payment looked at now."""
    payment = await lock_payment(session, payment_id)
    payment.next_check_at = now


def _row_of(entity: Payment | PaymentAttempt, names: Sequence[str]) -> dict[str, Any]:
    return {"row_id": entity.id, **{name: getattr(entity, name) for name in names}}
