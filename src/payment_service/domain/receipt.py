"""Receipts: what a bank transfer means for the payment it reached.

A receipt is a fact and never changes; `judge` decides its disposition once, when it is recorded.
"""

from dataclasses import dataclass
from enum import StrEnum

from payment_service.domain.payment import CLOSED_UNPAID, SETTLED, PaymentStatus


class Disposition(StrEnum):
    """What became of a transfer."""

    APPLIED = "applied"  # all of it pays the payment
    EXCESS = "excess"  # some or all of it is more than was asked
    LATE = "late"  # the payment was closed already
    UNMATCHED = "unmatched"  # no payment of ours
    RESOLVED = "resolved"  # an operator decided


class ExceptionCode(StrEnum):
    """Open questions about money, each shown on the payment until somebody decides."""

    UNDERPAID = "underpaid"
    OVERPAID = "overpaid"
    DUPLICATE_TRANSFER = "duplicate_transfer"
    LATE = "late"
    PROVIDER_MISMATCH = "provider_mismatch"
    REFUND_RETURNED = "refund_returned"
    UNMATCHED = "unmatched"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How much of a transfer is applied, and what it leaves open."""

    amount_applied: int  # minor units
    disposition: Disposition
    exception: ExceptionCode | None
    settles: bool  # the asked amount is complete with this transfer


def judge(*, status: PaymentStatus, asked: int, applied: int, amount: int) -> Verdict:
    """Judge a transfer of `amount` to a payment that asked for `asked` and has `applied` so far.

    Amounts are in minor units. Money for a closed payment is late; money for a settled one is a
    duplicate; the rest pays what is still missing, and what is over is excess.
    """
    if status in CLOSED_UNPAID:
        return Verdict(0, Disposition.LATE, ExceptionCode.LATE, settles=False)
    if status in SETTLED:
        return Verdict(0, Disposition.EXCESS, ExceptionCode.DUPLICATE_TRANSFER, settles=False)
    missing = asked - applied
    if amount < missing:
        return Verdict(amount, Disposition.APPLIED, ExceptionCode.UNDERPAID, settles=False)
    if amount == missing:
        return Verdict(amount, Disposition.APPLIED, None, settles=True)
    return Verdict(missing, Disposition.EXCESS, ExceptionCode.OVERPAID, settles=True)
