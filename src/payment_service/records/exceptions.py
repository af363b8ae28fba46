"""Money that somebody must decide about, as plain values for people and programs."""

from typing import Any

from payment_service.storage.exceptions import Case


def describe(case: Case) -> dict[str, Any]:
    """Describe an exception, and what can be done about it."""
    exception, payment, receipt = case.exception, case.payment, case.receipt
    return {
        "exception_id": exception.id,
        "code": exception.code,
        "amount": exception.amount,
        "amount_available": case.available,
        "raised_at": exception.raised_at,
        "in_time": exception.in_time,
        "tenant_id": exception.tenant_id,
        "payment_id": exception.payment_id,
        "order_reference": payment.order_reference if payment else None,
        "receipt_id": exception.receipt_id,
        "order_code": receipt.order_code if receipt else None,
        "bank_reference": receipt.bank_reference if receipt else None,
        "allowed_actions": ",".join(case.allowed_actions) or None,
        "outcome": exception.resolution,
        "resolved_at": exception.resolved_at,
        "resolved_by": exception.resolved_by_id or exception.resolved_by,
        "reason": exception.resolution_reason,
        "refund_id": exception.resolution_refund_id or exception.refund_id,
        "applied_to": exception.resolution_payment_id,
    }
