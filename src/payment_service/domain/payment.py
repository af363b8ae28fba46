"""The states of a payment and the edges between them: the one place that decides.

    pending -> paid | failed | expired
    paid -> partially_refunded -> refunded        (or straight to refunded)
    partially_refunded -> paid, refunded -> paid | partially_refunded
                                                  only when the bank sends a refund back

Status is the verdict for the merchant. Facts about money are receipts, see `receipt.py`: money that
comes late never flips a status, it becomes a receipt and an exception.
"""

from enum import StrEnum

from payment_service.domain.errors import InvalidStateTransition


class PaymentStatus(StrEnum):
    """The verdict on a payment."""

    PENDING = "pending"
    PAID = "paid"
    FAILED = "failed"
    EXPIRED = "expired"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"


class FailureReason(StrEnum):
    """Why a payment is `failed`."""

    CANCELED = "canceled"
    REJECTED = "rejected"
    PROVIDER_FAILED = "provider_failed"
    DECLINED = "declined"
    INVALID_CARD = "invalid_card"


_S = PaymentStatus
TRANSITIONS: dict[PaymentStatus, frozenset[PaymentStatus]] = {
    _S.PENDING: frozenset({_S.PAID, _S.FAILED, _S.EXPIRED}),
    _S.PAID: frozenset({_S.PARTIALLY_REFUNDED, _S.REFUNDED}),
    # The edges back are the compensating ones: a bank returned a refund that had succeeded.
    _S.PARTIALLY_REFUNDED: frozenset({_S.REFUNDED, _S.PAID}),
    _S.REFUNDED: frozenset({_S.PARTIALLY_REFUNDED, _S.PAID}),
    _S.FAILED: frozenset(),
    _S.EXPIRED: frozenset(),
}

SETTLED = frozenset({_S.PAID, _S.PARTIALLY_REFUNDED, _S.REFUNDED})
"""Statuses that say the asked amount was received."""

CLOSED_UNPAID = frozenset({_S.FAILED, _S.EXPIRED})
"""Statuses that say it never will be: money that is there, or still comes, pays nothing."""


def amount_unapplied(status: str, received: int, applied: int) -> int:
    """Tell how much was received and does not pay what was asked; refunds of it are not counted.

    Of a payment that ended unpaid that is all: what had been applied pays nothing any more.
    """
    return received if status in CLOSED_UNPAID else received - applied


def advance(current: PaymentStatus, target: PaymentStatus) -> PaymentStatus:
    """Return `target` if the edge exists.

    Raises:
        InvalidStateTransition: There is no such edge.
    """
    if target not in TRANSITIONS[current]:
        raise InvalidStateTransition(f"a {current} payment cannot become {target}", current)
    return target


def status_after_refunds(*, amount_applied: int, amount_refunded: int) -> PaymentStatus:
    """Tell what a settled payment is, given its succeeded refunds (minor units)."""
    if amount_refunded <= 0:
        return PaymentStatus.PAID
    if amount_refunded < amount_applied:
        return PaymentStatus.PARTIALLY_REFUNDED
    return PaymentStatus.REFUNDED
