"""A payment's history as plain values, for people and programs; of the payer only ends of numbers.

Names of people, URLs and QR codes are left out: who supports a payer does not need them.
"""

from datetime import datetime
from typing import Any

from payment_service.storage.histories import History
from payment_service.storage.models import (
    AuditEntry,
    MoneyException,
    Payment,
    PaymentAttempt,
    Receipt,
    Refund,
    WebhookEvent,
)

_ANSWERS = {
    "pending": "waits for {missing:,} {currency} until {expires_at}",
    "paid": "was paid at {paid_at}",
    "partially_refunded": "was paid at {paid_at}; {amount_refunded:,} {currency} went back",
    "refunded": "was paid at {paid_at} and went back",
    "expired": "ended unpaid at {closed_at}: its time was up",
    "failed": "ended unpaid at {closed_at}: {failure_reason}",
}


def describe(history: History) -> dict[str, Any]:
    """Describe all that is on record about a payment."""
    return {
        "payment": _payment(history.payment),
        "links": [_link(attempt) for attempt in history.attempts],
        "receipts": [describe_receipt(receipt) for receipt in history.receipts],
        "refunds": [_refund(refund) for refund in history.refunds],
        "exceptions": [_exception(exception) for exception in history.exceptions],
        "webhooks": [_webhook(webhook) for webhook in history.webhooks],
        "changes": [_change(entry) for entry in history.changes],
        "replays": [_replay(entry) for entry in history.replays],
    }


def answer(payment: dict[str, Any]) -> str:
    """Say in one sentence what became of a described payment."""
    shown = {name: write_time(value) for name, value in payment.items()}
    shown["missing"] = payment["amount"] - payment["amount_applied"]
    return _ANSWERS[payment["status"]].format(**shown)


def write_time(value: Any) -> Any:
    """Write an instant to the second, in UTC; anything else stays."""
    return f"{value:%Y-%m-%d %H:%M:%S}Z" if isinstance(value, datetime) else value


def describe_receipt(receipt: Receipt) -> dict[str, Any]:
    """Describe a transfer."""
    account = receipt.payer_account_number
    return {
        "receipt_id": receipt.id,
        "occurred_at": receipt.occurred_at,
        "recorded_at": receipt.recorded_at,
        "amount": receipt.amount,
        "amount_applied": receipt.amount_applied,
        "currency": receipt.currency,
        "disposition": receipt.disposition,
        "bank_reference": receipt.bank_reference,
        "order_code": receipt.order_code,
        "payer_bank_id": receipt.payer_bank_id,
        "payer_account": str(account) if account else None,
    }


def _payment(payment: Payment) -> dict[str, Any]:
    return {
        "payment_id": payment.id,
        "status": payment.status,
        "failure_reason": payment.failure_reason,
        "tenant_id": payment.tenant_id,
        "order_reference": payment.order_reference,
        "currency": payment.currency,
        "amount": payment.amount,
        "amount_received": payment.amount_received,
        "amount_applied": payment.amount_applied,
        "amount_refunded": payment.amount_refunded,
        "amount_reserved": payment.amount_reserved,
        "version": payment.version,
        "created_at": payment.created_at,
        "expires_at": payment.expires_at,
        "paid_at": payment.paid_at,
        "closed_at": payment.closed_at,
        "next_check_at": payment.next_check_at,
    }


def _link(attempt: PaymentAttempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "order_code": attempt.order_code,
        "provider_reference": attempt.provider_reference,
        "transfer_text": attempt.transfer_text,
        "state": attempt.state,
        "created_at": attempt.created_at,
        "closed_at": attempt.closed_at,
    }


def _refund(refund: Refund) -> dict[str, Any]:
    return {
        "refund_id": refund.id,
        "created_at": refund.created_at,
        "amount": refund.amount,
        "currency": refund.currency,
        "status": refund.status,
        "because": refund.pending_reason or refund.failure_reason,
        "reason": refund.reason,
        "reference": refund.reference,
        "bank_bin": refund.bank_bin,
        "account": str(refund.account_number),
        "payout": refund.payout_reference,
        "succeeded_at": refund.succeeded_at,
        "next_check_at": refund.next_check_at,
    }


def _exception(exception: MoneyException) -> dict[str, Any]:
    return {
        "exception_id": exception.id,
        "raised_at": exception.raised_at,
        "code": exception.code,
        "amount": exception.amount,
        "receipt_id": exception.receipt_id,
        "refund_id": exception.refund_id,
        "resolution": exception.resolution,
        "resolved_at": exception.resolved_at,
    }


def _webhook(webhook: WebhookEvent) -> dict[str, Any]:
    return {
        "webhook_id": webhook.id,
        "received_at": webhook.received_at,
        "status": webhook.status,
        "attempts": webhook.attempts,
        "reason": webhook.reason,
    }


def _change(entry: AuditEntry) -> dict[str, Any]:
    return {
        "at": entry.at,
        "version": entry.version,
        "action": entry.action,
        "from_status": entry.from_status,
        "status": entry.to_status,
        "amount": entry.amount,
        "actor": f"{entry.actor}:{entry.actor_id}" if entry.actor_id else entry.actor,
        "reason": entry.reason,
        "refund_id": entry.refund_id,
        "request_id": entry.request_id,
    }


def _replay(entry: AuditEntry) -> dict[str, Any]:
    return {
        "at": entry.at,
        "webhook_id": entry.webhook_id,
        "actor": f"{entry.actor}:{entry.actor_id}",
        "reason": entry.reason,
    }
