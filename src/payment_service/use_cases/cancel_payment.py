"""Cancel a pending payment: close its link at the provider, look at the money, then decide.

The payer may be in the bank's app while the merchant cancels. So the verdict is read off the link
after it was closed: with money on it the payment is paid, and the merchant is told so.
"""

from collections.abc import Callable
from dataclasses import dataclass

from payment_service.domain.audit import Actor
from payment_service.domain.clock import Clock
from payment_service.domain.errors import InvalidStateTransition
from payment_service.domain.idempotency import (
    Answer,
    IdempotentRequest,
    RenderError,
    StoredResponse,
)
from payment_service.domain.payment import FailureReason, PaymentStatus
from payment_service.ledger.observations import CANCELED, close_unpaid, record_observation
from payment_service.providers.provider import (
    OutcomeUnknown,
    PaymentProvider,
    ProviderError,
    ProviderPayment,
    UnknownReference,
)
from payment_service.storage import idempotency, payments
from payment_service.storage.database import Database, Session
from payment_service.storage.idempotency import Claim
from payment_service.storage.models import Payment, PaymentAttempt


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelPayment:
    """Which payment, and why."""

    request: IdempotentRequest
    actor: Actor
    payment_id: str
    reason: str | None


async def cancel_payment(
    database: Database,
    provider: PaymentProvider,
    clock: Clock,
    command: CancelPayment,
    *,
    render: Callable[[Payment, PaymentAttempt], StoredResponse],
    render_error: RenderError,
) -> Answer:
    """Cancel a payment, or return the answer that the same request got before.

    Raises:
        NotFound: The tenant has no such payment.
        ProviderError: Nothing is decided; the same key goes on where this request stopped.
    """

    async def claim(session: Session) -> tuple[Claim, int] | Answer:
        payment = await payments.lock_payment(
            session, command.payment_id, tenant_id=command.request.tenant_id
        )
        held = await idempotency.claim(
            session, command.request, resource_id=payment.id, now=clock()
        )
        if isinstance(held, StoredResponse):
            return Answer(held, replayed=True)
        attempt = await payments.get_latest_attempt(session, payment.id)
        if payment.status != PaymentStatus.PENDING:
            return await answer(session, held, payment, attempt)
        return held, attempt.order_code

    async def record(session: Session) -> Answer | None:
        payment = await payments.lock_payment(session, command.payment_id)
        attempt = await payments.get_latest_attempt(session, payment.id)
        now, actor, reason = clock(), command.actor, command.reason
        if closed is not None:
            await record_observation(
                session,
                payment,
                attempt,
                closed,
                when_closed=CANCELED,
                actor=actor,
                reason=reason,
                now=now,
            )
        elif payment.status == PaymentStatus.PENDING:
            await close_unpaid(
                session, payment, attempt, CANCELED, actor=actor, reason=reason, now=now
            )
        if payment.status == PaymentStatus.PENDING:
            return None
        return await answer(session, held, payment, attempt)

    async def answer(
        session: Session, held: Claim, payment: Payment, attempt: PaymentAttempt
    ) -> Answer:
        if payment.failure_reason == FailureReason.CANCELED:
            response = render(payment, attempt)
        else:
            response = render_error(_not_cancellable(payment))
        await idempotency.complete(session, held, response, now=clock())
        return Answer(response, replayed=False)

    claimed = await database.transact(claim)
    if isinstance(claimed, Answer):
        return claimed
    held, order_code = claimed
    try:
        closed = await _close(provider, order_code, command.reason)
        answered = await database.transact(record)
        if answered is None:
            raise OutcomeUnknown("the provider has not closed the link")
    except ProviderError:
        await database.transact(lambda session: idempotency.release(session, held, now=clock()))
        raise
    return answered


async def _close(
    provider: PaymentProvider, order_code: int, reason: str | None
) -> ProviderPayment | None:
    """Close the link; None when the provider never had it."""
    try:
        return await provider.cancel_payment(order_code, reason or "canceled by the merchant")
    except UnknownReference:
        return None


def _not_cancellable(payment: Payment) -> InvalidStateTransition:
    return InvalidStateTransition(
        f"A payment that is {payment.status} cannot be cancelled.", payment.status
    )
