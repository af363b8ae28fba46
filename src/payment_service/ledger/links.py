"""Records how a payment comes by its link at the provider: opened, replaced or adopted.

Each function is a step on a payment that the caller has locked, under a claim that it holds.
"""

from datetime import datetime, timedelta

from payment_service.domain.audit import Actor
from payment_service.domain.ids import new_id, new_order_code, new_token, new_transfer_text
from payment_service.domain.payment import PaymentStatus
from payment_service.ledger.changes import announce_created
from payment_service.ledger.observations import (
    EXPIRED,
    close_unpaid,
    is_closed,
    record_observation,
)
from payment_service.ledger.receipts import close_attempt
from payment_service.providers.provider import Checkout, OutcomeUnknown, ProviderPayment
from payment_service.storage import payments
from payment_service.storage.database import Session
from payment_service.storage.models import Payment, PaymentAttempt

FIRST_CHECK = timedelta(seconds=30)  # after the link is there: webhooks get lost


def new_attempt(payment: Payment, *, number: int, now: datetime) -> PaymentAttempt:
    """Prepare a link: its order code is on record before the provider hears of it."""
    return PaymentAttempt(
        id=new_id("att", now),
        payment_id=payment.id,
        number=number,
        order_code=new_order_code(now),
        state=payments.ATTEMPT_OPENING,
        transfer_text=new_transfer_text(),
        qr_token=new_token(),
        created_at=now,
    )


async def open_link(
    session: Session,
    payment: Payment,
    attempt: PaymentAttempt,
    checkout: Checkout | None,
    *,
    actor: Actor,
    now: datetime,
) -> None:
    """Record a link that can be paid and tell of the payment; None when all that is on record."""
    if checkout is not None:
        attempt.provider_reference = checkout.provider_reference
        attempt.checkout_url = checkout.checkout_url
        attempt.qr_code = checkout.qr_code
        # A webhook may have overtaken the answer; the state that it set stands.
        if attempt.state == payments.ATTEMPT_OPENING:
            attempt.state = payments.ATTEMPT_OPEN
    if payment.status == PaymentStatus.PENDING:
        payment.next_check_at = now + FIRST_CHECK
    if payment.is_reserved:
        await announce_created(session, payment, attempt, actor=actor, now=now)


def is_foreign(payment: Payment, seen: ProviderPayment) -> bool:
    """Tell whether a link is somebody else's: another environment uses the channel, and the code.

    Such a link is never touched.
    """
    return seen.amount != payment.amount


async def settle_link(
    session: Session,
    payment: Payment,
    attempt: PaymentAttempt,
    seen: ProviderPayment,
    *,
    actor: Actor,
    now: datetime,
) -> None:
    """Decide about a link whose QR code was lost and that was closed for it, or is somebody else's.

    With money on it the link is adopted. Without, once it is confirmed closed, another follows:
    there are never two that can be paid. One that was settled before stays as it is, whoever comes
    late with news of it.

    Raises:
        OutcomeUnknown: It is not confirmed closed.
    """
    assert seen.order_code == attempt.order_code, "news of one link settle no other"
    if attempt.state == payments.ATTEMPT_CLOSED:
        return
    if not is_foreign(payment, seen):
        if seen.amount_paid > 0:
            await _adopt(session, payment, attempt, seen, actor=actor, now=now)
            return
        if not is_closed(seen):
            raise OutcomeUnknown("the provider has not closed the link")
        attempt.provider_reference = seen.provider_reference  # it is ours, and stays watched
    close_attempt(attempt, now=now)
    if now >= payment.expires_at:
        await close_unpaid(session, payment, attempt, EXPIRED, actor=actor, now=now)
        return
    await session.flush()  # the next link may only live once this one is closed
    following = new_attempt(payment, number=attempt.number + 1, now=now)
    await payments.add(session, following)


async def _adopt(
    session: Session,
    payment: Payment,
    attempt: PaymentAttempt,
    seen: ProviderPayment,
    *,
    actor: Actor,
    now: datetime,
) -> None:
    attempt.state = payments.ATTEMPT_OPEN
    attempt.provider_reference = seen.provider_reference
    await open_link(session, payment, attempt, None, actor=actor, now=now)
    await record_observation(
        session, payment, attempt, seen, when_closed=EXPIRED, actor=actor, now=now
    )
