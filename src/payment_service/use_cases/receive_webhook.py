"""Take a webhook in: verify it, write it down, answer. What it means is worked out later."""

import hashlib
from collections.abc import Mapping, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass
from datetime import datetime, timedelta
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
from payment_service.storage.group_commit import GroupCommit
from payment_service.telemetry import tracing
from payment_service.telemetry.logging import bind

APPLY_WITHIN = timedelta(seconds=30)
"""When a webhook is not applied by then, the scheduler does it."""


class Reception(StrEnum):
    """What became of a delivery."""

    STORED = "received"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A verified webhook that waits to be stored."""

    verified: VerifiedWebhook
    body: bytes
    message_headers: dict[str, str]
    context: Context  # of the request that brought it


@dataclass(frozen=True, slots=True)
class Stored:
    """Where a delivery is on record, and what became of it."""

    webhook_id: str
    reception: Reception


Journal = GroupCommit[Delivery, Stored]
"""Where webhooks are stored; those that come at the same time share a transaction."""


def open_journal(database: Database, provider: str, clock: Clock) -> Journal:
    """Open the journal for the webhooks of a provider."""
    return GroupCommit(
        database,
        "receive_webhook.store",
        lambda session, deliveries: _store(session, provider, deliveries, clock),
    )


async def receive_webhook(
    database: Database,
    journal: Journal,
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
        Overloaded: Too many wait to be stored; the provider delivers it again.
    """
    try:
        verified = provider.verify_webhook(headers, body)
    except WebhookSignatureInvalid as error:
        if not source_quota.take():
            raise RateLimited(source_quota.seconds_until(1)) from error
        if evidence_quota.take():
            await _keep_evidence(database, provider, clock, body)
        raise
    delivery = Delivery(
        verified=verified,
        body=body,
        message_headers=tracing.message_headers(topics.WEBHOOKS),
        context=copy_context(),
    )
    stored = await journal.submit(delivery)
    bind(webhook_id=stored.webhook_id, outcome=stored.reception)  # its request's line tells
    return stored.reception


async def _store(
    session: Session, provider: str, deliveries: Sequence[Delivery], clock: Clock
) -> list[Stored]:
    """Store those that are new, also to each other, with their messages."""
    now = clock()
    new: dict[str, webhooks.NewWebhook] = {}
    for delivery in deliveries:
        if delivery.verified.event_id not in new:
            new[delivery.verified.event_id] = _webhook(provider, delivery, now)
    on_record = await webhooks.add(session, *new.values())
    messages: list[outbox.NewMessage] = []
    outcomes: list[Stored] = []
    for delivery in deliveries:
        webhook_id = on_record[delivery.verified.event_id]
        ours = new.pop(delivery.verified.event_id, None)
        reception = Reception.DUPLICATE
        if ours is not None and ours.id == webhook_id:
            reception = Reception.STORED
            messages.append(_message(webhook_id, provider, delivery, now))
        outcomes.append(Stored(webhook_id, reception))
        fact = WebhookMoved(webhook_id=webhook_id, outcome=reception)
        tell(session, fact, delivery.context)
    await outbox.add(session, *messages)
    return outcomes


def _webhook(provider: str, delivery: Delivery, now: datetime) -> webhooks.NewWebhook:
    return webhooks.NewWebhook(
        id=new_id("whk", now),
        provider=provider,
        event_id=delivery.verified.event_id,
        schema_version=delivery.verified.schema_version,
        payload=delivery.body,
        status=webhooks.RECEIVED,
        received_at=now,
        next_check_at=now + APPLY_WITHIN,
    )


def _message(
    webhook_id: str, provider: str, delivery: Delivery, now: datetime
) -> outbox.NewMessage:
    return outbox.NewMessage(
        topic=topics.WEBHOOKS,
        message_key=delivery.verified.key,
        message_id=new_id("msg", now),
        payload=events.webhook_received(webhook_id=webhook_id, provider=provider, at=now),
        headers=delivery.message_headers,
        at=now,
    )


async def _keep_evidence(
    database: Database, provider: PaymentProvider, clock: Clock, body: bytes
) -> None:
    async def keep(session: Session) -> None:
        now = clock()
        evidence = webhooks.NewWebhook(
            id=new_id("whk", now),
            provider=provider.name,
            event_id="rejected:" + hashlib.sha256(body).hexdigest(),
            schema_version="",
            payload=body,
            status=webhooks.REJECTED,
            reason="signature",
            received_at=now,
            next_check_at=None,
        )
        await webhooks.add(session, evidence)

    await database.transact("receive_webhook.keep_evidence", keep)
