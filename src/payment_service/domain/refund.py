"""The states of a refund, and how much may be refunded."""

from dataclasses import dataclass
from enum import StrEnum

from payment_service.domain.errors import RefundExceedsAvailable


class RefundStatus(StrEnum):
    """`pending`: an obligation; `succeeded`: the money left; `failed`: the reserve was freed."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class RefundReason(StrEnum):
    """Why money goes back, as the merchant says."""

    REQUESTED_BY_CUSTOMER = "requested_by_customer"
    DUPLICATE = "duplicate"
    OVERPAID = "overpaid"
    FRAUDULENT = "fraudulent"
    OTHER = "other"


EXCESS_REASONS = frozenset({RefundReason.OVERPAID, RefundReason.DUPLICATE})
"""Reasons that give back what was paid too much, as long as there is some: not the price."""


class RefundPendingReason(StrEnum):
    """What a pending refund waits for."""

    PROCESSING = "processing"
    APPROVAL = "approval"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    ON_HOLD = "on_hold"


class RefundFailureReason(StrEnum):
    """Why a refund is `failed`."""

    REJECTED = "rejected"
    DESTINATION_INVALID = "destination_invalid"
    CANCELED = "canceled"
    RETURNED = "returned"


class DestinationType(StrEnum):
    """Where a refund goes: to the account that paid, or to one that the merchant named."""

    SOURCE = "source"
    BANK_ACCOUNT = "bank_account"


@dataclass(frozen=True, slots=True)
class BankAccount:
    """An account that can be paid."""

    bank_bin: str | None  # six digits; None where the provider names what it pays back to
    account_number: str
    account_name: str | None


def available_to_refund(*, received: int, refunded: int, reserved: int) -> int:
    """Tell how much can still be refunded (minor units)."""
    return received - refunded - reserved


def check_refundable(*, received: int, refunded: int, reserved: int, wanted: int) -> None:
    """Refuse a refund that is larger than what is left.

    This gives the caller a precise answer; the guarded UPDATE and the CHECK constraint of the
    database are what holds under concurrency.

    Raises:
        RefundExceedsAvailable: `wanted` is more than what is left.
    """
    available = available_to_refund(received=received, refunded=refunded, reserved=reserved)
    if wanted > available:
        raise RefundExceedsAvailable(available)
