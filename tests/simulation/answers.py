"""How the simulated API writes its answers: functions of the rows, the same in any process."""

from collections.abc import Sequence

import msgspec

from payment_service.domain.errors import PaymentServiceError, RefundExceedsAvailable
from payment_service.domain.idempotency import StoredResponse
from payment_service.storage.models import MoneyException, Payment, PaymentAttempt, Refund


def payment_answer(
    payment: Payment, attempt: PaymentAttempt, exceptions: Sequence[MoneyException]
) -> StoredResponse:
    """Tell of a payment."""
    body = {
        "payment_id": payment.id,
        "status": payment.status,
        "received": payment.amount_received,
        "order_code": attempt.order_code,
        "qr_code": attempt.qr_code,
        "exceptions": [each.code for each in exceptions],
    }
    return StoredResponse(201, {}, msgspec.json.encode(body))


def refund_answer(refund: Refund) -> StoredResponse:
    """Tell of a refund."""
    body = {"refund_id": refund.id, "status": refund.status, "amount": refund.amount}
    return StoredResponse(201, {}, msgspec.json.encode(body))


def refusal(error: PaymentServiceError) -> StoredResponse:
    """Tell why not."""
    status = 422 if isinstance(error, RefundExceedsAvailable) else 409
    return StoredResponse(status, {}, msgspec.json.encode({"error": type(error).__name__}))
