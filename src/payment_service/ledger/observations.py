"""Records what a provider says of a payment link when it is asked."""

from dataclasses import dataclass
from datetime import datetime

from payment_service.domain.audit import Actor
from payment_service.domain.payment import FailureReason, PaymentStatus
from payment_service.ledger.changes import Change, announce
from payment_service.ledger.receipts import WATCH_INTERVALS, close_attempt, record_transfer
from payment_service.providers.provider import CheckoutState, ProviderPayment
from payment_service.storage import payments
from payment_service.storage.database import Session
from payment_service.storage.models import Payment, PaymentAttempt

_CLOSED = frozenset(
    {
        CheckoutState.CANCELED,
        CheckoutState.EXPIRED,
        CheckoutState.FAILED,
        CheckoutState.DECLINED,
        CheckoutState.INVALID_CARD,
    }
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an unpaid payment becomes once its link is confirmed closed."""

    status: PaymentStatus
    failure_reason: FailureReason | None = None


EXPIRED = Verdict(PaymentStatus.EXPIRED)
CANCELED = Verdict(PaymentStatus.FAILED, FailureReason.CANCELED)
PROVIDER_FAILED = Verdict(PaymentStatus.FAILED, FailureReason.PROVIDER_FAILED)
REJECTED = Verdict(PaymentStatus.FAILED, FailureReason.REJECTED)
_OF_TIME = {
    CheckoutState.DECLINED: Verdict(PaymentStatus.FAILED, FailureReason.DECLINED),
    CheckoutState.INVALID_CARD: Verdict(PaymentStatus.FAILED, FailureReason.INVALID_CARD),
}
"""What it means that the time is up where the payer has tried in vain; a wish ends it as ever."""


def is_closed(seen: ProviderPayment) -> bool:
    """Tell whether the provider says that a link cannot be paid any more."""
    return seen.state in _CLOSED


async def record_observation(
    session: Session,
    payment: Payment,
    attempt: PaymentAttempt,
    seen: ProviderPayment,
    *,
    when_closed: Verdict,
    actor: Actor,
    reason: str | None = None,
    now: datetime,
) -> None:
    """Record the transfers that the provider lists, then its word on the payment's newest link.

    The money comes first: a link that is closed *and* paid is paid. Only a link that is confirmed
    closed ends an unpaid payment, and `when_closed` says how; our own clock never does.
    """
    if attempt.provider_reference is None:
        attempt.provider_reference = seen.provider_reference
    for transfer in seen.transfers:
        await record_transfer(
            session, payment, attempt, transfer, latest=attempt, actor=actor, now=now
        )
    if payment.status != PaymentStatus.PENDING or not is_closed(seen):
        return
    verdict = PROVIDER_FAILED if seen.state is CheckoutState.FAILED else when_closed
    if verdict == EXPIRED:
        verdict = _OF_TIME.get(seen.state, EXPIRED)
    await close_unpaid(session, payment, attempt, verdict, actor=actor, reason=reason, now=now)


async def record_replaced(
    session: Session,
    payment: Payment,
    latest: PaymentAttempt,
    seen: ProviderPayment,
    *,
    actor: Actor,
    now: datetime,
) -> None:
    """Record the transfers to a link that `latest` has replaced; its state decides nothing more."""
    attempt = await payments.find_attempt_by_order_code(session, seen.order_code)
    assert attempt is not None, "a link is on record before the provider hears of it"
    for transfer in seen.transfers:
        await record_transfer(
            session, payment, attempt, transfer, latest=latest, actor=actor, now=now
        )


async def close_unpaid(
    session: Session,
    payment: Payment,
    attempt: PaymentAttempt,
    verdict: Verdict,
    *,
    actor: Actor,
    reason: str | None = None,
    now: datetime,
) -> None:
    """End a pending payment whose link is confirmed closed, or was never made."""
    from_status = payment.status
    payment.advance(verdict.status)
    payment.failure_reason = verdict.failure_reason
    payment.closed_at = now
    payment.next_check_at = now + WATCH_INTERVALS[0]
    payment.checks = 0
    if attempt.state != payments.ATTEMPT_CLOSED:
        close_attempt(attempt, now=now)
    change = Change(
        event_type=f"payment.{verdict.status}",
        actor=actor,
        from_status=from_status if payment.version else None,
        amount=payment.amount,
        reason=reason or verdict.failure_reason,
    )
    await announce(session, payment, attempt, change, now=now)
