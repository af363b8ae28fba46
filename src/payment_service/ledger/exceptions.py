"""Raises questions about money, writes down what was decided, and asks again when that failed.

A question is raised in the change that it comes from and is told with it. A decision is a change of
its own. Everything here is done under the lock of the payment.
"""

from datetime import datetime

from payment_service.domain.audit import Actor
from payment_service.domain.ids import new_id
from payment_service.domain.money_exception import Outcome
from payment_service.domain.receipt import ExceptionCode
from payment_service.ledger.changes import Change, announce
from payment_service.storage import audit, exceptions, payments
from payment_service.storage.database import Session
from payment_service.storage.models import (
    AuditEntry,
    MoneyException,
    Payment,
    Reallocation,
    Receipt,
    Refund,
)


async def raise_exception(
    session: Session,
    payment: Payment | None,
    code: ExceptionCode,
    *,
    amount: int,
    held: int,
    receipt: Receipt | None = None,
    refund: Refund | None = None,
    in_time: bool | None = None,
    now: datetime,
) -> MoneyException:
    """Raise a question.

    Args:
        session: Of the unit of work.
        payment: Whose money it is; None when it is nobody's yet.
        code: What is open.
        amount: What it is about, in minor units.
        held: How much of the payment's money is to be decided about, in minor units.
        receipt: The transfer that it came with.
        refund: The refund that did not reach the payer.
        in_time: Of a late transfer, whether it was made before the payment was closed.
        now: The time.
    """
    exception = MoneyException(
        id=new_id("exc", now),
        tenant_id=payment.tenant_id if payment else None,
        payment_id=payment.id if payment else None,
        receipt_id=receipt.id if receipt else None,
        refund_id=refund.id if refund else None,
        code=code,
        amount=amount,
        amount_held=held,
        in_time=in_time,
        raised_at=now,
    )
    await payments.add(session, exception)
    return exception


async def resolve(
    session: Session,
    payment: Payment | None,
    exception: MoneyException,
    outcome: Outcome,
    *,
    refund: Refund | None = None,
    reallocation: Reallocation | None = None,
    actor: Actor,
    reason: str,
    now: datetime,
) -> None:
    """Write a decision down, and tell the world if the money has a payment."""
    moved = refund or reallocation
    mark_resolved(exception, outcome, actor=actor, reason=reason, now=now)
    exception.resolution_amount = moved.amount if moved else None
    exception.resolution_refund_id = refund.id if refund else None
    exception.resolution_payment_id = reallocation.to_payment_id if reallocation else None
    if payment is None:
        await audit.add(session, _audit_entry(exception, actor, reason, now))
        return
    attempt = await payments.get_latest_attempt(session, payment.id)
    change = Change(
        event_type="payment.exception_resolved",
        actor=actor,
        from_status=payment.status,
        amount=moved.amount if moved else exception.amount_held,
        reason=reason,
        refund=refund,
        exception=exception,
        reallocation=reallocation,
    )
    await announce(session, payment, attempt, change, now=now)


def mark_resolved(
    exception: MoneyException,
    outcome: Outcome,
    *,
    actor: Actor,
    reason: str | None = None,
    now: datetime,
) -> None:
    """Close a question; the change that answers it tells of it."""
    exception.resolved_at = now
    exception.resolution = outcome
    exception.resolved_by = actor.kind
    exception.resolved_by_id = actor.id
    exception.resolution_reason = reason


async def reopen(session: Session, refund: Refund) -> MoneyException | None:
    """Ask again about money whose refund did not reach the payer; None if nobody had asked.

    The age of the question counts from the first time: the payer has been waiting since then.
    """
    exception = await exceptions.find_by_resolving_refund(session, refund.id)
    if exception is None:
        return None
    exception.refund_id = refund.id
    exception.resolved_at = exception.resolution = None
    exception.resolved_by = exception.resolved_by_id = exception.resolution_reason = None
    exception.resolution_amount = exception.resolution_refund_id = None
    return exception


def _audit_entry(exception: MoneyException, actor: Actor, reason: str, now: datetime) -> AuditEntry:
    """Write down who decided about money that has no payment, and so no version and no events."""
    return AuditEntry(
        at=now,
        actor=actor.kind,
        actor_id=actor.id,
        action="exception.resolved",
        version=0,
        amount=exception.amount_held,
        exception_id=exception.id,
        reason=reason,
        request_id=actor.request_id,
    )
