"""Records what became of a payout, on the refund and on its payment."""

from datetime import datetime, timedelta

from payment_service.domain.audit import Actor
from payment_service.domain.ids import new_id
from payment_service.domain.payment import SETTLED, PaymentStatus, status_after_refunds
from payment_service.domain.receipt import ExceptionCode
from payment_service.domain.refund import (
    RefundFailureReason,
    RefundPendingReason,
    RefundReason,
    RefundStatus,
)
from payment_service.ledger.changes import Change, announce
from payment_service.storage import payments, refunds
from payment_service.storage.database import Session
from payment_service.storage.models import MoneyException, Payment, Refund

WATCH_SUCCEEDED = timedelta(days=7)
"""How long a succeeded payout is looked at: a bank may send it back days later."""
WATCH_INTERVAL = timedelta(hours=6)


async def keep_pending(
    session: Session,
    payment: Payment,
    refund: Refund,
    reason: RefundPendingReason,
    *,
    actor: Actor,
    now: datetime,
) -> None:
    """Note what a pending refund waits for; told only when it changes."""
    if refund.pending_reason == reason:
        return
    refund.pending_reason = reason
    await _announce(session, payment, refund, "refund.updated", actor, reason=reason, now=now)


async def succeed(
    session: Session, payment: Payment, refund: Refund, *, actor: Actor, now: datetime
) -> None:
    """Turn the reserve into money that left."""
    assert refund.status == RefundStatus.PENDING
    refund.status = RefundStatus.SUCCEEDED
    refund.pending_reason = None
    refund.succeeded_at = now
    refund.next_check_at = now + WATCH_INTERVAL
    payment.amount_reserved -= refund.amount
    payment.amount_refunded += refund.amount
    await _announce(session, payment, refund, "refund.succeeded", actor, now=now)
    await _follow_status(session, payment, refund, actor=actor, now=now)


async def fail(
    session: Session,
    payment: Payment,
    refund: Refund,
    reason: RefundFailureReason,
    *,
    actor: Actor,
    now: datetime,
) -> None:
    """Give the reserve back."""
    assert refund.status == RefundStatus.PENDING
    _end(refund, reason, now=now)
    payment.amount_reserved -= refund.amount
    await _announce(session, payment, refund, "refund.failed", actor, reason=reason, now=now)


async def take_back(
    session: Session, payment: Payment, refund: Refund, *, actor: Actor, now: datetime
) -> None:
    """Undo a refund that had succeeded: the bank returned the money, which is ours again."""
    assert refund.status == RefundStatus.SUCCEEDED
    _end(refund, RefundFailureReason.RETURNED, now=now)
    payment.amount_refunded -= refund.amount
    exception = MoneyException(
        id=new_id("exc", now),
        payment_id=payment.id,
        refund_id=refund.id,
        code=ExceptionCode.REFUND_RETURNED,
        amount=refund.amount,
        raised_at=now,
    )
    await payments.add(session, exception)
    await _announce(
        session,
        payment,
        refund,
        "refund.failed",
        actor,
        reason=RefundFailureReason.RETURNED,
        exception=exception,
        now=now,
    )
    await _follow_status(session, payment, refund, actor=actor, now=now)


def _end(refund: Refund, reason: RefundFailureReason, *, now: datetime) -> None:
    refund.status = RefundStatus.FAILED
    refund.failure_reason = reason
    refund.pending_reason = None
    refund.next_check_at = None
    refund.updated_at = now


async def _follow_status(
    session: Session, payment: Payment, refund: Refund, *, actor: Actor, now: datetime
) -> None:
    """Move a settled payment to the status that its refunds give it.

    Giving back what was paid too much does not make a payment refunded: such refunds count against
    the excess first. An expired payment whose late money is refunded stays expired.
    """
    current = PaymentStatus(payment.status)
    if current not in SETTLED:
        return
    await session.flush()
    excess_refunded = await refunds.sum_succeeded(session, payment.id, RefundReason.OVERPAID)
    of_the_price = payment.amount_refunded - min(payment.amount_unapplied, excess_refunded)
    target = status_after_refunds(
        amount_applied=payment.amount_applied, amount_refunded=of_the_price
    )
    if target == current:
        return
    payment.advance(target)
    await _announce(
        session, payment, refund, f"payment.{target}", actor, from_status=current, now=now
    )


async def _announce(
    session: Session,
    payment: Payment,
    refund: Refund,
    event_type: str,
    actor: Actor,
    *,
    now: datetime,
    reason: str | None = None,
    from_status: str | None = None,
    exception: MoneyException | None = None,
) -> None:
    refund.updated_at = now
    attempt = await payments.get_latest_attempt(session, payment.id)
    change = Change(
        event_type=event_type,
        actor=actor,
        from_status=from_status or payment.status,
        amount=refund.amount,
        reason=reason,
        refund=refund,
        exception=exception,
    )
    await announce(session, payment, attempt, change, now=now)
