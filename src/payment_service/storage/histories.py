"""Everything that is on record about a payment, and how to find it by what a person can tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Select, select

from payment_service.domain.errors import NotFound
from payment_service.domain.ids import is_id
from payment_service.storage import audit, payments, webhooks
from payment_service.storage.database import Session
from payment_service.storage.models import (
    AuditEntry,
    MoneyException,
    Payment,
    PaymentAttempt,
    Receipt,
    Refund,
    WebhookEvent,
)

Row = TypeVar("Row")

ROWS_MAX = 1000  # of each kind
ORDER_CODE_DIGITS_MAX = 16


@dataclass(frozen=True, slots=True)
class History:
    """A payment and all that belongs to it, each oldest first."""

    payment: Payment
    attempts: Sequence[PaymentAttempt]
    receipts: Sequence[Receipt]
    refunds: Sequence[Refund]
    exceptions: Sequence[MoneyException]
    changes: Sequence[AuditEntry]
    webhooks: Sequence[WebhookEvent]  # that are not applied
    replays: Sequence[AuditEntry]


async def get_history(session: Session, payment_id: str) -> History:
    """Read all that is on record about a payment."""
    payment = await session.get(Payment, payment_id)
    if payment is None:
        raise NotFound("There is no such payment.")
    changes = await audit.list_entries(session, payment_id, after=0, limit=ROWS_MAX)
    unapplied = await webhooks.list_unapplied(session, payment_id)
    told_by = {entry.actor_id for entry in changes if entry.actor == "webhook" and entry.actor_id}
    return History(
        payment=payment,
        attempts=await _all(
            session,
            select(PaymentAttempt)
            .where(PaymentAttempt.payment_id == payment_id)
            .order_by(PaymentAttempt.number),
        ),
        receipts=await payments.list_receipts(session, payment_id),
        refunds=await _all(
            session,
            select(Refund)
            .where(Refund.payment_id == payment_id)
            .order_by(Refund.created_at, Refund.id),
        ),
        exceptions=await _all(
            session,
            select(MoneyException)
            .where(MoneyException.payment_id == payment_id)
            .order_by(MoneyException.raised_at, MoneyException.id),
        ),
        changes=changes,
        webhooks=unapplied,
        replays=await audit.list_replays(
            session, sorted(told_by | {webhook.id for webhook in unapplied})
        ),
    )


async def find_by_order(session: Session, order_reference: str) -> Sequence[str]:
    """Name the payments of an order, of whichever tenant, oldest first."""
    # The index begins with the tenant; there are few, and their names are read off it.
    tenants = (await session.scalars(select(Payment.tenant_id).distinct())).all()
    query = (
        select(Payment.id)
        .where(Payment.tenant_id.in_(tenants), Payment.order_reference == order_reference)
        .order_by(Payment.created_at, Payment.id)
        .limit(ROWS_MAX)
    )
    return (await session.scalars(query)).all()


async def find_by_reference(session: Session, reference: str) -> Sequence[str]:
    """Name the payments that an order code, a refund, or a name at provider or bank belongs to."""
    found = [receipt.payment_id for receipt in await find_receipts(session, reference)]
    if reference.isascii() and reference.isdecimal() and len(reference) <= ORDER_CODE_DIGITS_MAX:
        attempt = await payments.find_attempt_by_order_code(session, int(reference))
        found += [attempt.payment_id] if attempt else []
    links = select(PaymentAttempt.payment_id).where(PaymentAttempt.provider_reference == reference)
    found += (await session.scalars(links.limit(ROWS_MAX))).all()
    refund_id, _, number = reference.partition("-")  # a payout is named by its refund and a number
    if is_id(refund_id) and (number.isdecimal() or not number):
        found += await find_by_id(session, refund_id)
    return list(dict.fromkeys(payment_id for payment_id in found if payment_id is not None))


async def find_by_id(session: Session, any_id: str) -> Sequence[str]:
    """Name the payment that any id of ours leads to; none, if it leads nowhere."""
    table, column = _BY_PREFIX.get(any_id.partition("_")[0], (None, None))
    if table is None:
        return []
    found = await session.scalar(select(column).where(table.id == any_id))
    return [found] if found is not None else []


_BY_PREFIX: Mapping[str, tuple[Any, Any]] = {
    "pay": (Payment, Payment.id),
    "ref": (Refund, Refund.payment_id),
    "exc": (MoneyException, MoneyException.payment_id),
    "whk": (WebhookEvent, WebhookEvent.payment_id),
    "rcp": (Receipt, Receipt.payment_id),
}


async def find_receipts(session: Session, bank_reference: str) -> Sequence[Receipt]:
    """List the transfers that carry a bank's reference, also those without a payment of ours."""
    query = select(Receipt).where(Receipt.bank_reference == bank_reference).order_by(Receipt.id)
    return await _all(session, query)


async def _all(session: Session, query: Select[Row]) -> Sequence[Row]:
    return (await session.scalars(query.limit(ROWS_MAX))).all()
