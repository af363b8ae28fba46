"""Payments and what happened to them, as the events that would tell it, and what is true then.

Every event satisfies `webhook-schemas/events/`; none needs a running payment service.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

Event = dict[str, Any]
BEGAN = datetime(2026, 11, 24, 3, 15, tzinfo=UTC)
NEWEST_VERSION = 2
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


@dataclass(frozen=True, slots=True)
class Belief:
    """What is true of a payment after some of its events; what a consumer should believe."""

    status: str
    sequence: int
    amount_received: int  # minor units
    amount_refunded: int
    times: dict[str, int] = field(hash=False)  # how often each type of event happened


@dataclass(slots=True)
class History:
    """One payment, told event by event.

    Args:
        number: Which payment; ids are made of it, so that each run has the same ones.
        version: The version of the schema that the events are written by.
    """

    number: int
    amount: int = 250_000
    version: int = NEWEST_VERSION
    events: list[Event] = field(default_factory=list)

    @property
    def payment_id(self) -> str:
        """The key of its messages."""
        return name("pay", self.number)

    def tell(
        self, event_type: str, status: str, *, received: int, refunded: int = 0, **about: Any
    ) -> None:
        """Add the next event: what happened, and how the payment is afterwards."""
        sequence = len(self.events) + 1
        before = self.events[-1]["data"]["payment"]["status"] if self.events else None
        data: Event = {"event_version": self.version, "sequence": sequence, "tenant_id": "shop"}
        if self.version > 1:
            data["actor"] = "webhook"
            if before is not None:
                data["previous_status"] = before
        data["payment"] = self._payment(status, received, refunded, about.get("refund"))
        self.events.append(
            {
                "specversion": "1.0",
                "id": name("evt", self.number * 1000 + sequence),
                "source": "/payment-service",
                "type": event_type,
                "subject": self.payment_id,
                "time": instant(sequence),
                "datacontenttype": "application/json",
                "dataschema": f"urn:payment-service:schemas:events:v{self.version}",
                "data": data | about,
            }
        )

    def _payment(
        self, status: str, received: int, refunded: int, refund: Event | None
    ) -> dict[str, Any]:
        is_pending = refund is not None and refund["status"] == "pending"
        return {
            "payment_id": self.payment_id,
            "status": status,
            "order_reference": f"order-{self.number}",
            "currency": "VND",
            "amount": self.amount,
            "amount_received": received,
            "amount_refunded": refunded,
            "amount_refund_pending": refund["amount"] if refund and is_pending else 0,
            "amount_unapplied": max(0, received - self.amount),
            "provider": "payos",
            "provider_reference": str(7_000_000 + self.number),
            "metadata": {"campaign": "autumn"},
            "created_at": instant(0),
            "expires_at": instant(900),
        }

    def truth(self, events: Sequence[Event] | None = None) -> Belief:
        """Tell what is true after these events of it, or after all."""
        told = self.events if events is None else events
        payment = told[-1]["data"]["payment"]
        return Belief(
            status=payment["status"],
            sequence=told[-1]["data"]["sequence"],
            amount_received=payment["amount_received"],
            amount_refunded=payment["amount_refunded"],
            times=dict(Counter(event["type"] for event in told)),
        )


def refunded(number: int, **options: Any) -> History:
    """Tell of a payment that came in two transfers, was refunded in part, and got it back.

    The bank returns the refund at the end: payment.paid happens twice, and money came once.
    """
    history = History(number, **options)
    amount, part = history.amount, history.amount // 5
    refund = {
        "refund_id": name("ref", number),
        "amount": part,
        "reason": "other",
        "created_at": instant(4),
    }
    history.tell("payment.created", "pending", received=0)
    history.tell("payment.receipt", "pending", received=part, receipt=_receipt(number, part, 0))
    rest = _receipt(number, amount - part, 1)
    history.tell("payment.paid", "paid", received=amount, receipt=rest)
    pending = {**refund, "status": "pending", "pending_reason": "processing"}
    history.tell("refund.created", "paid", received=amount, refund=pending)
    done = {**refund, "status": "succeeded"}
    history.tell("refund.succeeded", "paid", received=amount, refunded=part, refund=done)
    history.tell(
        "payment.partially_refunded", "partially_refunded",
        received=amount, refunded=part, refund=done,
    )  # fmt: skip
    failed = {**refund, "status": "failed", "failure_reason": "returned"}
    history.tell("refund.failed", "partially_refunded", received=amount, refund=failed)
    history.tell("payment.paid", "paid", received=amount, refund=failed)
    return history


def created(number: int) -> History:
    """Tell of a payment that waits for money."""
    history = History(number)
    history.tell("payment.created", "pending", received=0)
    return history


def name(prefix: str, number: int) -> str:
    """Make an id that looks like ours."""
    digits = ""
    while number:
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return f"{prefix}_{digits.rjust(26, '0')}"


def instant(seconds: int) -> str:
    """Write a time so long after the beginning."""
    return (BEGAN + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def _receipt(number: int, amount: int, place: int) -> Event:
    return {
        "receipt_id": name("rcp", number * 10 + place),
        "amount": amount,
        "amount_applied": amount,
        "disposition": "applied",
        "occurred_at": instant(place + 1),
    }
