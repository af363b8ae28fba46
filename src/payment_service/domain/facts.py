"""Facts: what a unit of work did, told once it is committed.

A unit notes its facts as it goes (`storage.database: tell`); what is rolled back or repeated was
never told. So logs, metrics and traces speak of what happened, not of what was tried.
"""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentChanged:
    """A payment was announced with a new version; a refund of it, too."""

    event_type: str
    payment_id: str
    version: int
    from_status: str | None  # None: it was not announced before
    to_status: str
    currency: str
    amount: int | None  # minor units; of the change, not of the payment
    refund_id: str | None = None
    refund_status: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyReceived:
    """A transfer was recorded for the first time."""

    receipt_id: str
    payment_id: str | None  # None: it belongs to no payment of ours
    amount: int  # minor units
    currency: str
    disposition: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookMoved:
    """A webhook came to a state, or came again."""

    webhook_id: str
    outcome: str  # received, duplicate, applied, ignored, postponed, dead
    payment_id: str | None = None
    reason: str | None = None
    waited: timedelta | None = None  # from its reception to its end


@dataclass(frozen=True, slots=True)
class KeyUsed:
    """A request with an Idempotency-Key took its turn: `executed`, `replayed` or `resumed`."""

    outcome: str


Fact = PaymentChanged | MoneyReceived | WebhookMoved | KeyUsed
