"""Builds the messages that we publish, from the rows that they tell of.

A message is a pure function of the committed rows: nothing that happens later leaks in.
"""

from datetime import UTC, datetime

import msgspec
from msgspec import UNSET, UnsetType

from generated.webhook_schemas.dead_letters import v1 as dead_letters_v1
from generated.webhook_schemas.events import v2 as events_v2
from generated.webhook_schemas.received import v1 as received_v1
from payment_service.storage.models import (
    MoneyException,
    Payment,
    PaymentAttempt,
    Reallocation,
    Receipt,
    Refund,
)

SOURCE = "/payment-service"
EVENTS_VERSION = 2
EVENTS_SCHEMA = f"urn:payment-service:schemas:events:v{EVENTS_VERSION}"

_encode = msgspec.json.Encoder().encode


def payment_event(
    event_type: str,
    *,
    event_id: str,
    at: datetime,
    actor: str,
    previous_status: str | None,
    payment: Payment,
    attempt: PaymentAttempt,
    refund: Refund | None = None,
    receipt: Receipt | None = None,
    exception: MoneyException | None = None,
    reallocation: Reallocation | None = None,
) -> bytes:
    """Tell what happened to a payment, as `webhook-schemas/events/v2.json` says."""
    event = events_v2.PaymentEventV2(
        specversion="1.0",
        id=event_id,
        source=SOURCE,
        type=event_type,
        subject=payment.id,
        time=at.astimezone(UTC),
        datacontenttype="application/json",
        dataschema=EVENTS_SCHEMA,
        data=events_v2.PaymentEventDataV2(
            event_version=EVENTS_VERSION,
            sequence=payment.version,
            tenant_id=payment.tenant_id,
            actor=actor,
            previous_status=_status(previous_status),
            payment=_payment(payment, attempt),
            refund=UNSET if refund is None else _refund(refund),
            receipt=UNSET if receipt is None else _receipt(receipt),
            exception=UNSET if exception is None else _exception(exception),
            reallocation=UNSET if reallocation is None else _reallocation(reallocation),
        ),
    )
    return _encode(event)


def webhook_received(*, webhook_id: str, provider: str, at: datetime) -> bytes:
    """Tell that a stored webhook waits, as `webhook-schemas/received/v1.json` says."""
    return _encode(
        received_v1.WebhookReceivedV1(
            event_version=1, webhook_id=webhook_id, provider=provider, received_at=at
        )
    )


def webhook_dead(
    *, webhook_id: str, provider: str, reason: str, attempts: int, at: datetime
) -> bytes:
    """Tell that a webhook could not be applied, as `webhook-schemas/dead_letters/v1.json` says."""
    return _encode(
        dead_letters_v1.WebhookDeadLetterV1(
            event_version=1,
            webhook_id=webhook_id,
            provider=provider,
            reason=reason[:255],
            attempts=attempts,
            failed_at=at,
        )
    )


def read_webhook_received(value: bytes) -> str:
    """Read the id of the webhook that a message names.

    Raises:
        ValueError: The message is none of ours.
    """
    return msgspec.json.decode(value, type=received_v1.WebhookReceivedV1).webhook_id


def _payment(payment: Payment, attempt: PaymentAttempt) -> events_v2.PaymentV2:
    return events_v2.PaymentV2(
        payment_id=payment.id,
        status=events_v2.PaymentStatusV2(payment.status),
        failure_reason=_given(payment.failure_reason),
        order_reference=payment.order_reference,
        currency=payment.currency,
        amount=payment.amount,
        amount_received=payment.amount_received,
        amount_refunded=payment.amount_refunded,
        amount_refund_pending=payment.amount_reserved,
        amount_unapplied=payment.amount_unapplied,
        provider=payment.provider,
        provider_reference=str(attempt.order_code),
        metadata=payment.payment_metadata,
        created_at=payment.created_at,
        expires_at=payment.expires_at,
        paid_at=UNSET if payment.paid_at is None else payment.paid_at,
    )


def _refund(refund: Refund) -> events_v2.RefundV2:
    return events_v2.RefundV2(
        refund_id=refund.id,
        status=events_v2.RefundStatusV2(refund.status),
        pending_reason=_given(refund.pending_reason),
        failure_reason=_given(refund.failure_reason),
        amount=refund.amount,
        reason=refund.reason,
        reference=_given(refund.reference),
        created_at=refund.created_at,
    )


def _receipt(receipt: Receipt) -> events_v2.ReceiptV2:
    return events_v2.ReceiptV2(
        receipt_id=receipt.id,
        amount=receipt.amount,
        amount_applied=receipt.amount_applied,
        disposition=events_v2.DispositionV2(receipt.disposition),
        occurred_at=receipt.occurred_at,
    )


def _exception(exception: MoneyException) -> events_v2.ExceptionV2:
    return events_v2.ExceptionV2(
        exception_id=exception.id,
        code=events_v2.ExceptionCodeV2(exception.code),
        amount=exception.amount,
        in_time=UNSET if exception.in_time is None else exception.in_time,
        resolution=_resolution(exception),
    )


def _resolution(exception: MoneyException) -> events_v2.ResolutionV2 | UnsetType:
    if exception.resolved_at is None or exception.resolution is None:
        return UNSET
    amount = exception.resolution_amount
    return events_v2.ResolutionV2(
        outcome=events_v2.OutcomeV2(exception.resolution),
        amount=UNSET if amount is None else amount,
        refund_id=_given(exception.resolution_refund_id),
        payment_id=_given(exception.resolution_payment_id),
        resolved_at=exception.resolved_at,
    )


def _reallocation(reallocation: Reallocation) -> events_v2.ReallocationV2:
    return events_v2.ReallocationV2(
        exception_id=reallocation.exception_id,
        receipt_id=reallocation.receipt_id,
        from_payment_id=_given(reallocation.from_payment_id),
        to_payment_id=reallocation.to_payment_id,
        amount=reallocation.amount,
    )


def _status(value: str | None) -> events_v2.PaymentStatusV2 | UnsetType:
    return UNSET if value is None else events_v2.PaymentStatusV2(value)


def _given(value: str | None) -> str | UnsetType:
    return UNSET if value is None else value
