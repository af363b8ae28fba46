"""Take a webhook in: verify it, write it down, answer. What it means is worked out later."""

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum

from payment_service.domain.clock import Clock
from payment_service.domain.errors import RateLimited, WebhookSignatureInvalid
from payment_service.domain.facts import WebhookMoved
from payment_service.domain.ids import new_id
from payment_service.domain.quota import Quota
from payment_service.messaging import events, topics
from payment_service.providers.provider import PaymentProvider, VerifiedWebhook
from payment_service.storage import outbox, webhooks
from payment_service.storage.database import Database, Session, tell
from payment_service.telemetry import tracing

APPLY_WITHIN = timedelta(seconds=30)
"""When a webhook is not applied by then, the scheduler does it."""


class Reception(StrEnum):
    """What became of a delivery."""

    STORED = "received"
    DUPLICATE = "duplicate"


async def receive_webhook(
    database: Database,
    provider: PaymentProvider,
    clock: Clock,
    evidence_quota: Quota,
    source_quota: Quota,
    *,
    headers: Mapping[str, str],
    body: bytes,
) -> Reception:
    """Store a webhook and the message that tells of it, once; a repeated delivery changes nothing.

    Raises:
        WebhookSignatureInvalid: It is not the provider's. The evidence is kept, within a quota.
        RateLimited: It is not the provider's either, and there were too many from this source.
            What is the provider's is never limited, wherever it comes from.
    """
    try:
        verified = provider.verify_webhook(headers, body)
    except WebhookSignatureInvalid as error:
        if not source_quota.take():
            raise RateLimited(source_quota.seconds_until(1)) from error
        if evidence_quota.take():
            await _keep_evidence(database, provider, clock, body)
        raise
    return await database.transact(
        "receive_webhook.store",
        lambda session: _store(session, provider.name, verified, body, clock),
    )


async def _store(
    session: Session, provider: str, verified: VerifiedWebhook, body: bytes, clock: Clock
) -> Reception:
    known = await webhooks.find_id(session, provider, verified.event_id)
    if known is not None:
        tell(session, WebhookMoved(webhook_id=known, outcome=Reception.DUPLICATE))
        return Reception.DUPLICATE
    now = clock()
    webhook_id = new_id("whk", now)
    await webhooks.add(
        session,
        webhook_id=webhook_id,
        provider=provider,
        event_id=verified.event_id,
        schema_version=verified.schema_version,
        payload=body,
        status=webhooks.RECEIVED,
        received_at=now,
        next_check_at=now + APPLY_WITHIN,
    )
    await outbox.add(
        session,
        topic=topics.WEBHOOKS,
        message_key=verified.key,
        message_id=new_id("msg", now),
        payload=events.webhook_received(webhook_id=webhook_id, provider=provider, at=now),
        headers=tracing.message_headers(topics.WEBHOOKS),
        at=now,
    )
    tell(session, WebhookMoved(webhook_id=webhook_id, outcome=Reception.STORED))
    return Reception.STORED


async def _keep_evidence(
    database: Database, provider: PaymentProvider, clock: Clock, body: bytes
) -> None:
    async def keep(session: Session) -> None:
        now = clock()
        event_id = "rejected:" + hashlib.sha256(body).hexdigest()
        if await webhooks.find_id(session, provider.name, event_id) is not None:
            return
        await webhooks.add(
            session,
            webhook_id=new_id("whk", now),
            provider=provider.name,
            event_id=event_id,
            schema_version="",
            payload=body,
            status=webhooks.REJECTED,
            reason="signature",
            received_at=now,
            next_check_at=None,
        )

    await database.transact("receive_webhook.keep_evidence", keep)
