"""Exceptions of money: what may be decided about them, and how much money is there to decide about.

A receipt never changes. What somebody decides about its money is a resolution of the exception that
it raised: give it back, apply it to another payment of the order, or keep it.
"""

from datetime import datetime
from enum import StrEnum

from payment_service.domain.payment import SETTLED, PaymentStatus
from payment_service.domain.receipt import ExceptionCode


class Action(StrEnum):
    """What can be done with an exception."""

    REFUND = "refund"
    APPLY = "apply"
    KEEP = "keep"


class Outcome(StrEnum):
    """What became of it."""

    REFUNDED = "refunded"
    APPLIED = "applied"
    KEPT = "kept"
    TOPPED_UP = "topped_up"  # the payer completed an underpaid payment


def available(
    code: ExceptionCode, *, status: PaymentStatus, held: int, refundable: int, excess_left: int
) -> int:
    """Tell how much of the money that an exception holds is still there (minor units).

    The money of a payment is one pot: other refunds may have taken some of it. What exceeds the
    price of a settled payment is a pot of its own, so that nobody gives the price away as excess.
    A refund that came back may have been either, so it is bounded by the whole.

    Args:
        code: What is open.
        status: Of the payment.
        held: What the exception is about.
        refundable: Received by the payment, and neither refunded nor reserved.
        excess_left: Received beyond the price, and not given back as such.
    """
    left = min(held, refundable)
    if status in SETTLED and code != ExceptionCode.REFUND_RETURNED:
        left = min(left, excess_left)
    return max(0, left)


def allowed_actions(
    code: ExceptionCode, *, status: PaymentStatus | None, available: int
) -> tuple[Action, ...]:
    """Tell what can be done now; `status` is the payment's, None when there is no payment.

    An underpaid payment that is pending is not for us to decide: the payer may complete it, and the
    merchant may cancel it. Money without a payment must be applied to one before it can go back.
    """
    if status is None:
        return (Action.APPLY, Action.KEEP)
    if code == ExceptionCode.UNDERPAID and status == PaymentStatus.PENDING:
        return ()
    if available == 0:
        return (Action.KEEP,)
    if code == ExceptionCode.REFUND_RETURNED:
        return (Action.REFUND, Action.KEEP)
    return (Action.REFUND, Action.APPLY, Action.KEEP)


def was_in_time(occurred_at: datetime, *, expires_at: datetime, closed_at: datetime) -> bool:
    """Tell whether a late transfer was made before the payment was closed, by the bank's time."""
    return occurred_at <= min(expires_at, closed_at)
