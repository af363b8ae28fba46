"""Reads an event, tolerantly: what it needs, in whatever version, and nothing else."""

import json
from dataclasses import dataclass
from typing import Any

NUMBER_MAX = 2**53 - 1  # the greatest of the contract


class Unreadable(Exception):
    """The message is no event of a payment; the reason is safe to log."""


@dataclass(frozen=True, slots=True)
class PaymentEvent:
    """What this service needs of an event. Amounts are in minor units."""

    id: str
    type: str
    payment_id: str
    sequence: int
    order_reference: str
    status: str  # any text: later versions may know more statuses than we
    previous_status: str | None  # version 1 does not tell
    amount_received: int
    amount_refunded: int


def read(value: bytes | None) -> PaymentEvent:
    """Read a message.

    Members that are not named here are not looked at, so a later version with more of them, or
    with another event_version, is read like any other.

    Raises:
        Unreadable: A member that is needed is missing, or is not what it should be.
    """
    try:
        event = json.loads(value or b"")
    except (ValueError, RecursionError) as error:
        raise Unreadable("not JSON") from error
    data = _member(event, "data", dict)
    payment = _member(data, "payment", dict)
    previous = data.get("previous_status")
    return PaymentEvent(
        id=_member(event, "id", str),
        type=_member(event, "type", str),
        payment_id=_member(event, "subject", str),
        sequence=_member(data, "sequence", int),
        order_reference=_member(payment, "order_reference", str),
        status=_member(payment, "status", str),
        previous_status=previous if isinstance(previous, str) else None,
        amount_received=_member(payment, "amount_received", int),
        amount_refunded=_member(payment, "amount_refunded", int),
    )


def _member(node: Any, name: str, kind: type) -> Any:
    value = node.get(name) if isinstance(node, dict) else None
    if type(value) is not kind or not _can_be_kept(value):
        raise Unreadable(f"{name} is missing, or is not what it should be")
    return value


def _can_be_kept(value: Any) -> bool:
    """Whether a column can hold it: JSON allows numbers without end, and halves of characters."""
    if isinstance(value, int):
        return 0 <= value <= NUMBER_MAX
    return not isinstance(value, str) or value.isprintable()
