"""Cancel a pending payment: close its link at the provider, look at the money, then decide.

The payer may be in the bank's app while the merchant cancels. So the verdict is read off the link
after it was closed: with money on it the payment is paid, and the merchant is told so.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from payment_service.domain.audit import Actor
from payment_service.domain.clock import Clock
from payment_service.domain.errors import (
    ConcurrentUpdate,
    InvalidStateTransition,
    StorageUnavailable,
)
from payment_service.domain.idempotency import (
    LEASE,
    Answer,
    IdempotentRequest,
    RenderError,
    StoredResponse,
)
from payment_service.domain.payment import FailureReason, PaymentStatus
from payment_service.ledger.observations import CANCELED, record_observation
from payment_service.providers.provider import (
    OutcomeUnknown,
    PaymentProvider,
    ProviderPayment,
    UnknownReference,
)
from payment_service.storage import idempotency, payments
from payment_service.storage.database import Database, Session
from payment_service.storage.idempotency import Claim
from payment_service.storage.models import MoneyException, Payment, PaymentAttempt

OPERATION = "cancelPayment"


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelPayment:
    """Which payment, and why."""

    request: IdempotentRequest
    actor: Actor
    payment_id: str
    reason: str | None


RenderPayment = Callable[[Payment, PaymentAttempt, Sequence[MoneyException]], StoredResponse]


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
        ConcurrentUpdate: It is still being created.
        ProviderError: Nothing is decided; the same key goes on where this request stopped.
    """
    cancellation = _Cancellation(clock, command, _Answers(clock, render, render_error))
    claimed = await database.transact("cancel_payment.claim", cancellation.claim)
    if isinstance(claimed, Answer):
        return claimed
    try:
        return await _finish(database, provider, cancellation, claimed)
    except Exception:
        # Where even this fails the lease ends by itself.
        with contextlib.suppress(StorageUnavailable, ConcurrentUpdate):
            await database.transact(
                "cancel_payment.release",
                lambda session: idempotency.release(session, claimed.claim, now=clock()),
            )
        raise


async def complete_cancellation(
    database: Database,
    clock: Clock,
    payment_id: str,
    *,
    render: RenderPayment,
    render_error: RenderError,
) -> None:
    """Answer a request that died, once its payment has ended.

    It is not carried on: while the payment is pending, only a retry goes on with it.
    """
    answers = _Answers(clock, render, render_error)

    async def complete(session: Session) -> None:
        payment = await payments.lock_payment(session, payment_id)
        claim = await idempotency.take_up_abandoned(
            session, OPERATION, resource_id=payment_id, now=clock()
        )
        if claim is None:
            return
        if payment.status == PaymentStatus.PENDING:
            await idempotency.release(session, claim, now=clock())
        else:
            await answers.give(session, claim, payment)

    await database.transact("complete_cancellation", complete)


@dataclass(frozen=True, slots=True)
class _Claimed:
    """The right to answer, and the link to close."""

    claim: Claim
    order_code: int
    reason: str | None


class _Cancellation:
    """One run of the use case: its steps, in the order they happen."""

    def __init__(self, clock: Clock, command: CancelPayment, answers: "_Answers") -> None:
        self._clock = clock
        self._command = command
        self._answers = answers

    async def claim(self, session: Session) -> _Claimed | Answer:
        """Claim the key; a payment that is not pending is answered for at once."""
        request, now = self._command.request, self._clock()
        payment = await payments.lock_payment(
            session, self._command.payment_id, tenant_id=request.tenant_id
        )
        claim = await idempotency.claim(session, request, resource_id=payment.id, now=now)
        if isinstance(claim, StoredResponse):
            return Answer(claim, replayed=True)
        if payment.is_reserved:
            raise ConcurrentUpdate("The payment is still being created; try again.")
        if payment.status != PaymentStatus.PENDING:
            return await self._answers.give(session, claim, payment)
        attempt = await payments.get_latest_attempt(session, payment.id)
        # If this request dies, the link that it may have closed is looked at after its lease.
        payment.next_check_at = min(payment.next_check_at or now + LEASE, now + LEASE)
        return _Claimed(claim, attempt.order_code, self._command.reason)

    async def record(
        self, session: Session, claim: Claim, closed: ProviderPayment
    ) -> Answer | None:
        """Record what the closed link says; None when the provider has not closed it."""
        payment = await payments.lock_payment(session, self._command.payment_id)
        attempt = await payments.get_latest_attempt(session, payment.id)
        actor, reason, now = self._command.actor, self._command.reason, self._clock()
        await idempotency.extend(session, claim, now=now)
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
        if payment.status == PaymentStatus.PENDING:
            return None
        return await self._answers.give(session, claim, payment)


@dataclass(frozen=True, slots=True)
class _Answers:
    """What a request is told about a payment that has ended, whoever has ended it."""

    clock: Clock
    render: RenderPayment
    render_error: RenderError

    async def give(self, session: Session, claim: Claim, payment: Payment) -> Answer:
        """Keep the answer under the key."""
        if payment.failure_reason == FailureReason.CANCELED:
            attempt = await payments.get_latest_attempt(session, payment.id)
            exceptions = await payments.list_open_exceptions(session, [payment.id])
            response = self.render(payment, attempt, exceptions)
        else:
            response = self.render_error(_not_cancellable(payment))
        await idempotency.complete(session, claim, response, now=self.clock())
        return Answer(response, replayed=False)


async def _finish(
    database: Database, provider: PaymentProvider, cancellation: _Cancellation, claimed: _Claimed
) -> Answer:
    closed = await _close(provider, claimed.order_code, claimed.reason)
    answer = await database.transact(
        "cancel_payment.record",
        lambda session: cancellation.record(session, claimed.claim, closed),
    )
    if answer is None:
        raise OutcomeUnknown("the provider has not closed the link")
    return answer


async def _close(provider: PaymentProvider, order_code: int, reason: str | None) -> ProviderPayment:
    try:
        return await provider.cancel_payment(order_code, reason or "canceled by the merchant")
    except UnknownReference as error:
        # It made the link itself. That it cannot find it now says nothing about the money on it.
        raise OutcomeUnknown("the provider does not find the link") from error


def _not_cancellable(payment: Payment) -> InvalidStateTransition:
    return InvalidStateTransition(
        f"A payment that is {payment.status} cannot be cancelled.", payment.status
    )
