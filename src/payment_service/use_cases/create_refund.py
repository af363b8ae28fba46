"""Create a refund: reserve its amount and promise it. Paying it out is `pay_out_refund`'s."""

from collections.abc import Callable
from dataclasses import dataclass

from payment_service.domain.audit import Actor
from payment_service.domain.clock import Clock
from payment_service.domain.errors import PaymentServiceError, RefundReferenceInUse
from payment_service.domain.idempotency import (
    Answer,
    IdempotentRequest,
    RenderError,
    StoredResponse,
)
from payment_service.domain.ids import new_id
from payment_service.domain.refund import BankAccount, RefundReason
from payment_service.ledger import refunds as ledger
from payment_service.providers.provider import PaymentProvider
from payment_service.storage import idempotency, payments, refunds
from payment_service.storage.database import Database, Session
from payment_service.storage.models import Refund


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateRefund:
    """How much, why, and where to; `destination` None is the account that paid."""

    request: IdempotentRequest
    actor: Actor
    payment_id: str
    amount: int  # minor units
    reason: RefundReason
    reference: str | None
    destination: BankAccount | None


async def create_refund(
    database: Database,
    provider: PaymentProvider,
    clock: Clock,
    command: CreateRefund,
    *,
    render: Callable[[Refund], StoredResponse],
    render_error: RenderError,
) -> Answer:
    """Reserve a refund, or return the answer that the same request got before.

    Raises:
        NotFound: The tenant has no such payment.
        IdempotencyKeyReused, IdempotencyInProgress: See there.
    """

    async def reserve(session: Session) -> Answer:
        now = clock()
        payment = await payments.lock_payment(
            session, command.payment_id, tenant_id=command.request.tenant_id
        )
        claim = await idempotency.claim(
            session, command.request, resource_id=new_id("ref", now), now=now
        )
        if isinstance(claim, StoredResponse):
            return Answer(claim, replayed=True)
        promise = ledger.Promise(
            refund_id=claim.resource_id,
            amount=command.amount,
            reason=command.reason,
            reference=command.reference,
            destination=command.destination,
        )
        try:
            await _check_reference(session, command)
            refund = await ledger.reserve(
                session, provider.capabilities, payment, promise, actor=command.actor, now=now
            )
            response = render(refund)
        except PaymentServiceError as refusal:
            response = render_error(refusal)
        await idempotency.complete(session, claim, response, now=now)
        return Answer(response, replayed=False)

    return await database.transact("create_refund.reserve", reserve)


async def _check_reference(session: Session, command: CreateRefund) -> None:
    if command.reference is None:
        return
    other = await refunds.find_by_reference(session, command.request.tenant_id, command.reference)
    if other is not None:
        raise RefundReferenceInUse(other.id)
