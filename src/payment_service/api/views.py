"""Rows -> the contract's resources."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import UNSET, UnsetType

from generated.api import models as contract
from payment_service.domain.payment import PaymentStatus
from payment_service.storage import payments
from payment_service.storage.exceptions import Case
from payment_service.storage.models import (
    AuditEntry,
    MoneyException,
    Payment,
    PaymentAttempt,
    Receipt,
    Refund,
)
from payment_service.storage.shown import ShownException, ShownLink, ShownPayment

SUFFIX_LENGTH = 4
EXCEPTIONS_MAX = 100


def payment_view(
    payment: Payment | ShownPayment,
    attempt: PaymentAttempt | ShownLink,
    exceptions: Sequence[MoneyException | ShownException],
    *,
    public_url: str,
    now: datetime,
) -> contract.Payment:
    """Show a payment. It can be paid only while `is_payable`."""
    payable = is_payable(payment, attempt, now=now)
    has_qr = payable and attempt.qr_code is not None
    return contract.Payment(
        payment_id=payment.id,
        status=contract.PaymentStatus(payment.status),
        failure_reason=(
            contract.PaymentFailureReason(payment.failure_reason)
            if payment.failure_reason
            else UNSET
        ),
        version=payment.version,
        amount=payment.amount,
        currency=contract.Currency(payment.currency),
        amounts=_amounts(payment),
        order_reference=payment.order_reference,
        description=payment.description or UNSET,
        provider=payment.provider,
        provider_reference=str(attempt.order_code),
        checkout_url=attempt.checkout_url if payable else None,
        qr_code=attempt.qr_code if has_qr else None,
        qr_token=attempt.qr_token if has_qr else None,
        qr_url=f"{public_url}/v1/qr-codes/{attempt.qr_token}" if has_qr else None,
        exceptions=[
            contract.PaymentException(
                exception_id=exception.id,
                code=contract.PaymentExceptionCode(exception.code),
                amount=exception.amount,
                raised_at=exception.raised_at,
            )
            for exception in exceptions[:EXCEPTIONS_MAX]
        ],
        metadata=payment.payment_metadata,
        created_at=payment.created_at,
        updated_at=payment.updated_at,
        expires_at=payment.expires_at,
        paid_at=payment.paid_at or UNSET,
    )


def is_payable(
    payment: Payment | ShownPayment, attempt: PaymentAttempt | ShownLink, *, now: datetime
) -> bool:
    """Tell whether a payer may be shown the link: it is open, and there is time left.

    After the deadline a payment stays pending until its link is confirmed closed. Nobody should be
    led to pay meanwhile.
    """
    is_open = attempt.state == payments.ATTEMPT_OPEN
    return payment.status == PaymentStatus.PENDING and is_open and now < payment.expires_at


def _amounts(payment: Payment | ShownPayment) -> contract.PaymentAmounts:
    return contract.PaymentAmounts(
        requested=payment.amount,
        received=payment.amount_received,
        remaining=payment.amount - (payment.amount_received - payment.amount_unapplied),
        refunded=payment.amount_refunded,
        refund_pending=payment.amount_reserved,
        unapplied=payment.amount_unapplied,
    )


def refund_view(refund: Refund) -> contract.Refund:
    """Show a refund; of the account only its end."""
    return contract.Refund(
        refund_id=refund.id,
        payment_id=refund.payment_id,
        status=contract.RefundStatus(refund.status),
        pending_reason=(
            contract.RefundPendingReason(refund.pending_reason) if refund.pending_reason else UNSET
        ),
        failure_reason=(
            contract.RefundFailureReason(refund.failure_reason) if refund.failure_reason else UNSET
        ),
        amount=refund.amount,
        currency=contract.Currency(refund.currency),
        reason=contract.RefundReason(refund.reason),
        destination=contract.MaskedDestination(
            type=contract.DestinationType(refund.destination_type),
            bank_bin=refund.bank_bin,
            account_number_suffix=refund.account_number[-SUFFIX_LENGTH:],
        ),
        reference=refund.reference or UNSET,
        created_at=refund.created_at,
        updated_at=refund.updated_at,
        succeeded_at=refund.succeeded_at or UNSET,
    )


def exception_view(case: Case) -> contract.MoneyException:
    """Show an exception of a payment, with what can be done about it."""
    exception, payment = case.exception, case.payment
    assert payment is not None, "money that nobody's payment has is not a tenant's to see"
    is_open = exception.resolved_at is None
    return contract.MoneyException(
        exception_id=exception.id,
        status=contract.ExceptionStatus.OPEN if is_open else contract.ExceptionStatus.RESOLVED,
        code=contract.PaymentExceptionCode(exception.code),
        payment_id=payment.id,
        order_reference=payment.order_reference,
        currency=contract.Currency(payment.currency),
        amount=exception.amount,
        amount_available=case.available,
        allowed_actions=[contract.ExceptionAction(action) for action in case.allowed_actions],
        in_time=UNSET if exception.in_time is None else exception.in_time,
        receipt=UNSET if case.receipt is None else _receipt(case.receipt),
        refund_id=exception.refund_id or UNSET,
        raised_at=exception.raised_at,
        resolution=_resolution(exception),
    )


def _receipt(receipt: Receipt) -> contract.ExceptionReceipt:
    return contract.ExceptionReceipt(
        receipt_id=receipt.id, amount=receipt.amount, occurred_at=receipt.occurred_at
    )


def _resolution(exception: MoneyException) -> contract.ExceptionResolution | UnsetType:
    if exception.resolved_at is None or exception.resolution is None:
        return UNSET
    amount, by = exception.resolution_amount, exception.resolved_by
    return contract.ExceptionResolution(
        outcome=contract.ExceptionOutcome(exception.resolution),
        resolved_at=exception.resolved_at,
        actor=contract.TimelineActor(by) if by else UNSET,
        actor_id=exception.resolved_by_id or UNSET,
        reason=exception.resolution_reason or UNSET,
        amount=UNSET if amount is None else amount,
        refund_id=exception.resolution_refund_id or UNSET,
        payment_id=exception.resolution_payment_id or UNSET,
    )


def timeline_entry(entry: AuditEntry) -> contract.TimelineEntry:
    """Show one change."""
    return contract.TimelineEntry(
        position=entry.id,
        at=entry.at,
        actor=contract.TimelineActor(entry.actor),
        actor_id=entry.actor_id or UNSET,
        action=entry.action,
        from_status=contract.PaymentStatus(entry.from_status) if entry.from_status else UNSET,
        to_status=contract.PaymentStatus(entry.to_status) if entry.to_status else UNSET,
        amount=entry.amount if entry.amount is not None else UNSET,
        refund_id=entry.refund_id or UNSET,
        exception_id=entry.exception_id or UNSET,
        reason=entry.reason or UNSET,
        request_id=entry.request_id or UNSET,
    )
