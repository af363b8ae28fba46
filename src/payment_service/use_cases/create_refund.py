"""Create a refund: reserve its amount and promise it. Paying it out is `pay_out_refund`'s."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from payment_service.domain.audit import Actor
from payment_service.domain.clock import Clock
from payment_service.domain.errors import (
    PaymentServiceError,
    RefundDestinationRequired,
    RefundExceedsAvailable,
    RefundNotSupported,
    RefundReferenceInUse,
)
from payment_service.domain.idempotency import (
    Answer,
    IdempotentRequest,
    RenderError,
    StoredResponse,
)
from payment_service.domain.ids import new_id
from payment_service.domain.refund import (
    DestinationType,
    RefundPendingReason,
    RefundReason,
    RefundStatus,
    available_to_refund,
    check_refundable,
)
from payment_service.ledger.changes import Change, announce
from payment_service.providers.provider import PaymentProvider
from payment_service.storage import idempotency, payments, refunds
from payment_service.storage.database import Database, Session
from payment_service.storage.models import Payment, Refund


@dataclass(frozen=True, slots=True)
class BankAccount:
    """An account that can be paid."""

    bank_bin: str  # six digits
    account_number: str
    account_name: str | None


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
        try:
            refund = await _reserve(
                session, provider, payment, command, refund_id=claim.resource_id, now=now
            )
            response = render(refund)
        except PaymentServiceError as refusal:
            response = render_error(refusal)
        await idempotency.complete(session, claim, response, now=now)
        return Answer(response, replayed=False)

    return await database.transact("create_refund.reserve", reserve)


async def _reserve(
    session: Session,
    provider: PaymentProvider,
    payment: Payment,
    command: CreateRefund,
    *,
    refund_id: str,
    now: datetime,
) -> Refund:
    if not provider.capabilities.refunds:
        raise RefundNotSupported("Payouts are not configured for this payment's provider.")
    await _check_reference(session, command)
    check_refundable(
        received=payment.amount_received,
        refunded=payment.amount_refunded,
        reserved=payment.amount_reserved,
        wanted=command.amount,
    )
    account = command.destination or await _find_source(session, payment)
    if not await refunds.reserve(session, payment.id, command.amount):
        raise RefundExceedsAvailable(
            available_to_refund(
                received=payment.amount_received,
                refunded=payment.amount_refunded,
                reserved=payment.amount_reserved,
            )
        )
    await session.refresh(payment)
    refund = _new_refund(payment, command, account, refund_id=refund_id, now=now)
    await payments.add(session, refund)
    attempt = await payments.get_latest_attempt(session, payment.id)
    change = Change(
        event_type="refund.created",
        actor=command.actor,
        from_status=payment.status,
        amount=refund.amount,
        reason=refund.reason,
        refund=refund,
    )
    await announce(session, payment, attempt, change, now=now)
    return refund


async def _check_reference(session: Session, command: CreateRefund) -> None:
    if command.reference is None:
        return
    other = await refunds.find_by_reference(session, command.request.tenant_id, command.reference)
    if other is not None:
        raise RefundReferenceInUse(other.id)


async def _find_source(session: Session, payment: Payment) -> BankAccount:
    """Find the account that paid, if the provider told it in a form that can be paid back to."""
    for receipt in await payments.list_receipts(session, payment.id):
        if receipt.payer_bank_bin and receipt.payer_account_number:
            return BankAccount(
                receipt.payer_bank_bin, receipt.payer_account_number, receipt.payer_account_name
            )
    raise RefundDestinationRequired("The provider did not tell which account paid.")


def _new_refund(
    payment: Payment, command: CreateRefund, account: BankAccount, *, refund_id: str, now: datetime
) -> Refund:
    source = command.destination is None
    return Refund(
        id=refund_id,
        payment_id=payment.id,
        tenant_id=payment.tenant_id,
        status=RefundStatus.PENDING,
        pending_reason=RefundPendingReason.PROCESSING,
        amount=command.amount,
        currency=payment.currency,
        reason=command.reason,
        reference=command.reference,
        destination_type=DestinationType.SOURCE if source else DestinationType.BANK_ACCOUNT,
        bank_bin=account.bank_bin,
        account_number=account.account_number,
        account_name=account.account_name,
        payout_number=1,
        created_at=now,
        updated_at=now,
        next_check_at=now,
        checks=0,
    )
