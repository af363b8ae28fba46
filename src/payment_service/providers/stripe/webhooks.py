"""Reads Stripe's webhooks: signed as a whole, and small facts once they are parsed.

Stripe sends whatever its endpoint is set to, about everything in the account. What is not about a
payment of ours is no fault and no news.

The reader of an old version stays here for as long as the table may hold a webhook of it.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from generated.webhook_schemas.stripe import v1
from payment_service.domain.errors import WebhookSignatureInvalid
from payment_service.providers.provider import (
    UnreadableWebhook,
    VerifiedWebhook,
    WebhookKind,
    WebhookReport,
)
from payment_service.providers.stripe import objects, signature

HEADER = "stripe-signature"
CURRENT_VERSION = "v1"
_EVENT_ID_MAX = 128
_KEY_MAX = 64

EVENTS = (
    "charge.succeeded",
    "charge.failed",
    "checkout.session.expired",
    "refund.updated",
    "refund.failed",
)
"""What the service wants to hear; the rest is ignored."""

_NOTHING = WebhookReport(kind=WebhookKind.PING, transfer=None, reason="not about a payment of ours")


class _Kind(msgspec.Struct):
    type: str


def verify(header: str, body: bytes, secrets: Sequence[str], *, now: datetime) -> VerifiedWebhook:
    """Check the signature over the received bytes, and its age.

    Raises:
        WebhookSignatureInvalid: No secret of ours signed it, or it did long ago.
    """
    if not signature.is_valid(header, body, secrets, now=now):
        raise WebhookSignatureInvalid("The signature does not match, or is too old.")
    event = _decode(body)
    name = event.get("id")
    if not isinstance(name, str) or not 0 < len(name) <= _EVENT_ID_MAX:
        raise WebhookSignatureInvalid("The webhook has no name.")
    return VerifiedWebhook(event_id=name, key=_key(event, name), schema_version=CURRENT_VERSION)


def parse(body: bytes, schema_version: str) -> WebhookReport:
    """Read a stored webhook.

    Raises:
        UnreadableWebhook: Its shape is not that of the version, or the version is not known.
    """
    read = _READERS.get(schema_version)
    if read is None:
        raise UnreadableWebhook(f"there is no version {schema_version[:16]}")
    return read(body)


def _read_v1(body: bytes) -> WebhookReport:
    try:
        # The objects of other events have other shapes.
        if msgspec.json.decode(body, type=_Kind).type not in EVENTS:
            return _NOTHING
        event = msgspec.json.decode(body, type=v1.StripeEventV1)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise UnreadableWebhook("not the shape of stripe/v1") from error
    entry: dict[str, Any] = msgspec.to_builtins(event.data.object)
    try:
        return _report(event.type, entry, entry.get("metadata") or {})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnreadableWebhook("not an object of ours") from error


def _report(event: str, entry: dict[str, Any], metadata: dict[str, Any]) -> WebhookReport:
    if event.startswith("refund."):
        reference = metadata.get(objects.REFERENCE)
        if reference is None:
            return _NOTHING  # made by hand, or by somebody else on the same account
        return WebhookReport(
            kind=WebhookKind.NEWS,
            transfer=None,
            refund_reference=str(reference),
            reason=f"refund: {entry.get('status')}",
        )
    if objects.ORDER_CODE not in metadata:
        return _NOTHING  # somebody else's, on the same account
    if event == "charge.succeeded":
        return WebhookReport(kind=WebhookKind.TRANSFER, transfer=objects.transfer(entry))
    if objects.CLOSED_BECAUSE in metadata:
        return WebhookReport(kind=WebhookKind.PING, transfer=None, reason="closed by us")
    is_declined = event == "charge.failed"
    return WebhookReport(
        kind=WebhookKind.NEWS,
        transfer=None,
        order_code=int(metadata[objects.ORDER_CODE]),
        reason=f"declined: {objects.decline_code(entry)}" if is_declined else "checkout ended",
    )


_READERS: dict[str, Callable[[bytes], WebhookReport]] = {"v1": _read_v1}


def _key(event: dict[str, Any], name: str) -> str:
    """Order the webhooks of a payment; one that names none is alone."""
    try:
        code = event["data"]["object"]["metadata"][objects.ORDER_CODE]
    except (KeyError, TypeError):
        code = None
    return code if isinstance(code, str) and 0 < len(code) <= _KEY_MAX else name[:_KEY_MAX]


def _decode(body: bytes) -> dict[str, Any]:
    try:
        event = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise WebhookSignatureInvalid("The webhook is not JSON.") from error
    if not isinstance(event, dict):
        raise WebhookSignatureInvalid("The webhook is not an object.")
    return event
