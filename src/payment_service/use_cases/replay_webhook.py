"""Put a webhook back in the queue, by an operator's hand. Safe: a transfer is recorded once."""

from payment_service.domain.audit import Actor
from payment_service.domain.clock import Clock
from payment_service.domain.errors import InvalidStateTransition
from payment_service.domain.ids import new_id
from payment_service.messaging import events, topics
from payment_service.storage import audit, outbox, webhooks
from payment_service.storage.database import Database, Session
from payment_service.telemetry import tracing


async def replay_webhook(
    database: Database,
    clock: Clock,
    webhook_id: str,
    *,
    actor: Actor,
    reason: str | None = None,
) -> None:
    """Have a stored webhook applied again; the audit log says who wanted it, and why.

    Raises:
        NotFound: There is no such webhook.
        InvalidStateTransition: Its signature was wrong: it is evidence, not a webhook. Or it is
            so old that its payload was redacted.
    """

    async def replay(session: Session) -> None:
        webhook = await webhooks.lock_webhook(session, webhook_id)
        if webhook.status == webhooks.REJECTED:
            raise InvalidStateTransition(
                "A webhook with a wrong signature is never applied.", webhook.status
            )
        if not webhook.payload:
            raise InvalidStateTransition("Its payload is not kept any more.", webhook.status)
        now = clock()
        webhook.status = webhooks.RECEIVED
        webhook.reason = webhook.processed_at = None
        webhook.attempts = 0
        webhook.next_check_at = now
        await audit.add_replay(session, webhook.id, actor=actor, reason=reason, at=now)
        await outbox.add(
            session,
            outbox.NewMessage(
                topic=topics.WEBHOOKS,
                message_key=webhook.id,
                message_id=new_id("msg", now),
                payload=events.webhook_received(
                    webhook_id=webhook.id, provider=webhook.provider, at=now
                ),
                headers=tracing.message_headers(topics.WEBHOOKS),
                at=now,
            ),
        )

    await database.transact("replay_webhook", replay)
