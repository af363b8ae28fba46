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


RenderPayment = Callable[[Payment, PaymentAttempt], StoredResponse]


async def cancel_payment(
    database: Database,
    provider: PaymentProvider,
    clock: Clock,
    command: CancelPayment,
    *,
    render: RenderPayment,
    render_error: RenderError,
) -> Answer:
    """Cancel a payment, or return the answer that the same request got before.

    Raises:
        NotFound: The tenant has no such payment.
        ProviderError: Nothing is decided; the same key goes on where this request stopped.
    """
    cancellation = _Cancellation(clock, command, render, render_error)
    claimed = await database.transact("cancel_payment.claim", cancellation.claim)
    if isinstance(claimed, Answer):
        return claimed
    try:
        closed = await _close(provider, claimed.order_code, command.reason)
        answer = await database.transact(
            "cancel_payment.record",
            lambda session: cancellation.record(session, claimed.claim, closed),
        )
        if answer is None:
            raise OutcomeUnknown("the provider has not closed the link")
    except ProviderError:
        await database.transact(
            "cancel_payment.release",
            lambda session: idempotency.release(session, claimed.claim, now=clock()),
        )
        raise
    return answer


@dataclass(frozen=True, slots=True)
class _Claimed:
    """The right to answer, and the link to close."""

    claim: Claim
    order_code: int


class _Cancellation:
    """One run of the use case: its steps, in the order they happen."""

    def __init__(
        self,
        clock: Clock,
        command: CancelPayment,
        render: RenderPayment,
        render_error: RenderError,
    ) -> None:
        self._clock = clock
        self._command = command
        self._render = render
        self._render_error = render_error

    async def claim(self, session: Session) -> _Claimed | Answer:
        """Claim the key; a payment that is not pending is answered for at once."""
        request = self._command.request
        payment = await payments.lock_payment(
            session, self._command.payment_id, tenant_id=request.tenant_id
        )
        claim = await idempotency.claim(session, request, resource_id=payment.id, now=self._clock())
        if isinstance(claim, StoredResponse):
            return Answer(claim, replayed=True)
        attempt = await payments.get_latest_attempt(session, payment.id)
        if payment.status != PaymentStatus.PENDING:
            return await self._answer(session, claim, payment, attempt)
        return _Claimed(claim, attempt.order_code)

    async def record(
        self, session: Session, claim: Claim, closed: ProviderPayment | None
    ) -> Answer | None:
        """Record what the closed link says; None when the provider has not closed it.

        `closed` is None when the provider never had the link.
        """
        payment = await payments.lock_payment(session, self._command.payment_id)
        attempt = await payments.get_latest_attempt(session, payment.id)
        actor, reason, now = self._command.actor, self._command.reason, self._clock()
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
        return await self._answer(session, claim, payment, attempt)

    async def _answer(
        self, session: Session, claim: Claim, payment: Payment, attempt: PaymentAttempt
    ) -> Answer:
        if payment.failure_reason == FailureReason.CANCELED:
            response = self._render(payment, attempt)
        else:
            response = self._render_error(_not_cancellable(payment))
        await idempotency.complete(session, claim, response, now=self._clock())
        return Answer(response, replayed=False)


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
