"""A stored webhook as plain values, for people and programs: what it says of money, not of whom."""

import json
from typing import Any

from payment_service.storage import audit, webhooks
from payment_service.storage.database import Session
from payment_service.storage.models import AuditEntry, WebhookEvent
from payment_service.telemetry.masking import MASK

DEPTH_MAX = 8
# Shown of a payload; everything else, and whatever a provider adds, may be about a person.
_SHOWN = frozenset({
    "code", "success", "orderCode", "amount", "currency", "reference", "transactionDateTime",
    "paymentLinkId", "counterAccountBankId",
    "order_code", "provider_reference", "bank_reference", "occurred_at",
})  # fmt: skip


async def get_webhook(session: Session, webhook_id: str) -> dict[str, Any]:
    """Describe a webhook with what it said, and who has had it applied again.

    Raises:
        NotFound: There is no such webhook.
    """
    row = await webhooks.get_webhook(session, webhook_id)
    replays = await audit.list_replays(session, [webhook_id])
    return describe(row) | {
        "event_id": row.event_id,
        "schema_version": row.schema_version,
        "processed_at": row.processed_at,
        "next_check_at": row.next_check_at,
        "payload": _payload(row.payload),
        "replays": [_replay(entry) for entry in replays],
    }


def describe(row: WebhookEvent) -> dict[str, Any]:
    """Describe a webhook in one line."""
    return {
        "id": row.id,
        "status": row.status,
        "provider": row.provider,
        "received_at": row.received_at,
        "attempts": row.attempts,
        "payment_id": row.payment_id,
        "reason": row.reason,
    }


def _replay(entry: AuditEntry) -> dict[str, Any]:
    return {"at": entry.at, "actor": f"{entry.actor}:{entry.actor_id}", "reason": entry.reason}


def _payload(payload: bytes) -> Any:
    if not payload:
        return "<redacted>"
    try:
        return _masked(json.loads(payload))
    except (ValueError, RecursionError):
        return f"<{len(payload)} bytes that are not JSON>"


def _masked(value: Any, name: str = "", depth: int = 0) -> Any:
    if value is None or depth > DEPTH_MAX:
        return None if value is None else MASK
    if isinstance(value, dict):
        return {key: _masked(inner, key, depth + 1) for key, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner, name, depth + 1) for inner in value]
    return value if name in _SHOWN or value == "" else MASK
