"""Promises refunds, and records what became of their payouts, on the refund and on its payment."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from payment_service.domain.audit import Actor
from payment_service.domain.errors import (
    InvalidStateTransition,
    RefundDestinationRequired,
    RefundExceedsAvailable,
    RefundNotSupported,
)
from payment_service.domain.payment import SETTLED, PaymentStatus, status_after_refunds
from payment_service.domain.receipt import ExceptionCode
from payment_service.domain.refund import (
    BankAccount,
    DestinationType,
    RefundFailureReason,
    RefundPendingReason,
    RefundReason,
    RefundStatus,
    check_refundable,
)
from payment_service.ledger.changes import Change, announce
from payment_service.ledger.exceptions import raise_exception, reopen
from payment_service.providers.provider import Capabilities
from payment_service.storage import payments, refunds
from payment_service.storage.database import Session
from payment_service.storage.models import MoneyException, Payment, Receipt, Refund
from payment_service.telemetry.masking import Masked

WATCH_SUCCEEDED = timedelta(days=7)
"""How long a succeeded payout is looked at: a bank may send it back days later."""
WATCH_INTERVAL = timedelta(hours=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """A refund that is to be made; without a destination it goes to the account that paid."""

    refund_id: str
    amount: int  # minor units
    reason: RefundReason
    reference: str | None = None
    destination: BankAccount | None = None
    transfer: Receipt | None = None  # the one that is given back, if it is one


async def reserve(
    session: Session,
    capabilities: Capabilities,
    payment: Payment,
    promise: Promise,
    *,
    actor: Actor,
    now: datetime,
) -> Refund:
    """Reserve the amount of a payment that the caller has locked; `pay_out_refund` pays it out.

    Raises:
        RefundNotSupported: The provider cannot pay out here, or not to that account.
        InvalidStateTransition: The payment is pending: the payer may complete it.
        RefundExceedsAvailable: The amount is more than what is left.
        RefundDestinationRequired: It is not known who paid.
    """
    if not capabilities.refunds:
        raise RefundNotSupported("Payouts are not configured for this payment's provider.")
    if payment.status == PaymentStatus.PENDING:
        raise InvalidStateTransition(
            "A payment that is pending is not refunded: cancel it first.", payment.status
        )
    check_refundable(
        received=payment.amount_received,
        refunded=payment.amount_refunded,
        reserved=payment.amount_reserved,
        wanted=promise.amount,
    )
    if promise.destination and not capabilities.payouts:
        raise RefundNotSupported("This payment's money can only go back to where it came from.")
    account = promise.destination or await _find_source(
        session, payment, promise.transfer, needs_bank=capabilities.payouts
    )
    if not await refunds.reserve(session, payment.id, promise.amount):
        raise RefundExceedsAvailable(payment.amount_refundable)
    await session.refresh(payment)
    refund = _new_refund(payment, promise, account, now=now)
    await payments.add(session, refund)
    await _announce(
        session, payment, refund, "refund.created", actor, reason=refund.reason, now=now
    )
    return refund


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
    """Give the reserve back; what the refund was to resolve is open again."""
    assert refund.status == RefundStatus.PENDING
    _end(refund, reason, now=now)
    payment.amount_reserved -= refund.amount
    exception = await reopen(session, refund)
    await _announce(
        session,
        payment,
        refund,
        "refund.failed",
        actor,
        reason=reason,
        exception=exception,
        now=now,
    )


async def take_back(
    session: Session, payment: Payment, refund: Refund, *, actor: Actor, now: datetime
) -> None:
    """Undo a refund that had succeeded: the bank returned the money, which is ours again.

    It is one question what to do with it: the one that the refund was to resolve, or a new one.
    """
    assert refund.status == RefundStatus.SUCCEEDED
    _end(refund, RefundFailureReason.RETURNED, now=now)
    payment.amount_refunded -= refund.amount
    exception = await reopen(session, refund) or await raise_exception(
        session,
        payment,
        ExceptionCode.REFUND_RETURNED,
        amount=refund.amount,
        held=refund.amount,
        refund=refund,
        now=now,
    )
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


async def _follow_status(
    session: Session, payment: Payment, refund: Refund, *, actor: Actor, now: datetime
) -> None:
    """Move a settled payment to the status that its refunds give it.

    Giving back what was paid too much, or twice, does not make a payment refunded: such refunds
    count against the excess first. An expired payment whose late money is refunded stays expired.
    """
    current = PaymentStatus(payment.status)
    if current not in SETTLED:
        return
    await session.flush()
    excess = await refunds.sum_of_excess(session, [payment.id], [RefundStatus.SUCCEEDED])
    of_the_price = payment.amount_refunded - min(payment.amount_unapplied, excess[payment.id])
    target = status_after_refunds(
        amount_applied=payment.amount_applied, amount_refunded=of_the_price
    )
    if target == current:
        return
    payment.advance(target)
    await _announce(
        session, payment, refund, f"payment.{target}", actor, from_status=current, now=now
    )


def _end(refund: Refund, reason: RefundFailureReason, *, now: datetime) -> None:
    refund.status = RefundStatus.FAILED
    refund.failure_reason = reason
    refund.pending_reason = None
    refund.next_check_at = None
    refund.updated_at = now


async def _find_source(
    session: Session, payment: Payment, transfer: Receipt | None, *, needs_bank: bool
) -> BankAccount:
    """Find the account that paid, if the provider told it in a form that can be paid back to."""
    transfers = [transfer] if transfer else await payments.list_receipts(session, payment.id)
    for receipt in transfers:
        if receipt.payer_account_number and (receipt.payer_bank_bin or not needs_bank):
            return BankAccount(
                receipt.payer_bank_bin, receipt.payer_account_number, receipt.payer_account_name
            )
    raise RefundDestinationRequired("The provider did not tell which account paid.")


def _new_refund(
    payment: Payment, promise: Promise, account: BankAccount, *, now: datetime
) -> Refund:
    source = promise.destination is None
    return Refund(
        id=promise.refund_id,
        payment_id=payment.id,
        tenant_id=payment.tenant_id,
        status=RefundStatus.PENDING,
        pending_reason=RefundPendingReason.PROCESSING,
        amount=promise.amount,
        currency=payment.currency,
        reason=promise.reason,
        reference=promise.reference,
        destination_type=DestinationType.SOURCE if source else DestinationType.BANK_ACCOUNT,
        bank_bin=account.bank_bin,
        account_number=Masked(account.account_number),
        account_name=Masked(account.account_name) if account.account_name else None,
        payout_number=1,
        created_at=now,
        updated_at=now,
        next_check_at=now,
        checks=0,
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
