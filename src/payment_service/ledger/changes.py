"""Announces a change of a payment: its version, its audit row and its event, always together.

Every change goes through here exactly once, in the transaction that makes it. So `version` counts
the events of a payment without gaps, and no change can be silent.
"""

from dataclasses import dataclass
from datetime import datetime

from payment_service.domain.audit import Actor
from payment_service.domain.facts import PaymentChanged
from payment_service.domain.ids import new_id
from payment_service.messaging import events, topics
from payment_service.storage import audit, outbox, payments
from payment_service.storage.database import Session, tell
from payment_service.storage.models import (
    AuditEntry,
    MoneyException,
    Payment,
    PaymentAttempt,
    Reallocation,
    Receipt,
    Refund,
)
from payment_service.telemetry import tracing


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What happened, and whose doing it was."""

    event_type: str
    actor: Actor
    from_status: str | None = None
    amount: int | None = None  # minor units
    reason: str | None = None
    refund: Refund | None = None
    receipt: Receipt | None = None
    exception: MoneyException | None = None
    reallocation: Reallocation | None = None


async def announce(
    session: Session, payment: Payment, attempt: PaymentAttempt, change: Change, *, now: datetime
) -> None:
    """Count the change, write down who made it, and tell the world when the transaction commits."""
    payment.version += 1
    payment.updated_at = now
    event_id = new_id("evt", now)
    await payments.save(session, payment, attempt)  # its constraints come before the event
    await audit.add(session, _audit_entry(payment, change, now))
    await outbox.add(
        session,
        outbox.NewMessage(
            topic=topics.EVENTS,
            message_key=payment.id,
            message_id=event_id,
            payload=events.payment_event(
                change.event_type,
                event_id=event_id,
                at=now,
                actor=change.actor.kind,
                previous_status=change.from_status,
                payment=payment,
                attempt=attempt,
                refund=change.refund,
                receipt=change.receipt,
                exception=change.exception,
                reallocation=change.reallocation,
            ),
            headers=tracing.message_headers(topics.EVENTS),
            at=now,
        ),
    )
    tell(session, _fact(payment, change))


def _fact(payment: Payment, change: Change) -> PaymentChanged:
    refund = change.refund
    return PaymentChanged(
        event_type=change.event_type,
        payment_id=payment.id,
        version=payment.version,
        from_status=change.from_status,
        to_status=payment.status,
        currency=payment.currency,
        amount=change.amount,
        refund_id=refund.id if refund else None,
        refund_status=refund.status if refund else None,
    )


async def announce_created(
    session: Session, payment: Payment, attempt: PaymentAttempt, *, actor: Actor, now: datetime
) -> None:
    """Tell of a payment for the first time: its link is there, or money is."""
    change = Change(event_type="payment.created", actor=actor, amount=payment.amount)
    await announce(session, payment, attempt, change, now=now)


def _audit_entry(payment: Payment, change: Change, now: datetime) -> AuditEntry:
    return AuditEntry(
        payment_id=payment.id,
        at=now,
        actor=change.actor.kind,
        actor_id=change.actor.id,
        action=change.event_type,
        from_status=change.from_status,
        to_status=payment.status,
        version=payment.version,
        amount=change.amount,
        refund_id=change.refund.id if change.refund else None,
        exception_id=_exception_id(change),
        reason=change.reason,
        request_id=change.actor.request_id,
    )


def _exception_id(change: Change) -> str | None:
    """Name the exception that the change is about: its own, or the one whose money came here."""
    if change.exception is not None:
        return change.exception.id
    return change.reallocation.exception_id if change.reallocation else None
