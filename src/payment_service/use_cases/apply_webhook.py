"""Apply a stored webhook to the payment that it speaks of. Applying it twice changes nothing."""

from datetime import datetime, timedelta

from payment_service.domain.audit import Actor, ActorKind
from payment_service.domain.clock import Clock
from payment_service.domain.facts import WebhookMoved
from payment_service.domain.ids import new_id
from payment_service.ledger.receipts import is_watched, record_transfer, record_unmatched
from payment_service.messaging import events, topics
from payment_service.providers.provider import (
    PaymentProvider,
    Transfer,
    UnreadableWebhook,
    WebhookKind,
    WebhookReport,
)
from payment_service.storage import outbox, payments, refunds, webhooks
from payment_service.storage.database import Database, Session, tell
from payment_service.storage.models import WebhookEvent
from payment_service.telemetry import tracing

TRIES_MAX = 8
RETRY_DELAY = timedelta(seconds=2)  # doubled with every try


async def apply_webhook(
    database: Database, provider: PaymentProvider, clock: Clock, webhook_id: str
) -> str:
    """Apply a webhook: state, receipt, audit row and event in one transaction.

    Returns:
        What became of it: `applied`, `ignored` or `dead`, also when that was decided before.
    """

    async def apply(session: Session) -> str:
        webhook = await webhooks.lock_webhook(session, webhook_id)
        if webhook.status != webhooks.RECEIVED:
            return webhook.status
        try:
            report = provider.parse_webhook(webhook.payload, webhook.schema_version)
        except UnreadableWebhook as error:
            await _bury(session, webhook, f"unreadable: {error}", clock)
            return webhook.status
        if report.kind is WebhookKind.NEWS:
            await _ask_soon(session, webhook, report, clock)
        elif report.kind is WebhookKind.PING or report.transfer is None:
            _finish(session, webhook, webhooks.IGNORED, report.reason or "ping", clock)
        elif report.is_ambiguous:
            await _ask_instead(session, webhook, report.transfer, clock)
        else:
            await _apply_transfer(session, webhook, report.transfer, clock)
        return webhook.status

    return await database.transact("apply_webhook", apply)


async def postpone_webhook(
    database: Database, clock: Clock, webhook_id: str, error: Exception
) -> str:
    """Note that applying failed: try again later, and bury the webhook after the last try."""

    async def postpone(session: Session) -> str:
        webhook = await webhooks.lock_webhook(session, webhook_id)
        if webhook.status != webhooks.RECEIVED:
            return webhook.status
        webhook.attempts += 1
        if webhook.attempts >= TRIES_MAX:
            await _bury(session, webhook, f"failed: {type(error).__name__}", clock)
        else:
            webhook.next_check_at = clock() + RETRY_DELAY * 2 ** (webhook.attempts - 1)
            reason = type(error).__name__
            tell(
                session,
                WebhookMoved(webhook_id=webhook.id, outcome="postponed", reason=reason),
            )
        return webhook.status

    return await database.transact("postpone_webhook", postpone)


async def _apply_transfer(
    session: Session, webhook: WebhookEvent, transfer: Transfer, clock: Clock
) -> None:
    attempt = await payments.find_attempt_by_order_code(session, transfer.order_code)
    if attempt is None:
        # Another environment on the same channel, or money without a payment: on record either way.
        await record_unmatched(session, webhook.provider, transfer, now=clock())
        _finish(session, webhook, webhooks.APPLIED, "unmatched", clock)
        return
    # That refreshes `attempt`, too.
    payment, latest = await payments.lock_with_link(session, attempt.payment_id)
    if attempt.provider_reference not in {None, transfer.provider_reference}:
        # Text that the payer influenced could move the order code without breaking the signature,
        # but not the link that we know.
        webhook.payment_id = payment.id
        await _bury(session, webhook, "the link is not the one of the order code", clock)
        return
    if attempt.provider_reference is None:
        attempt.provider_reference = transfer.provider_reference
    actor = Actor(ActorKind.WEBHOOK, webhook.id)
    await record_transfer(
        session, payment, attempt, transfer, latest=latest, actor=actor, now=clock()
    )
    webhook.payment_id = payment.id  # last, so that its row is written once
    _finish(session, webhook, webhooks.APPLIED, None, clock)


async def _ask_instead(
    session: Session, webhook: WebhookEvent, transfer: Transfer, clock: Clock
) -> None:
    """Believe of a webhook only which payment to ask the provider about."""
    attempt = await payments.find_attempt_by_order_code(session, transfer.order_code)
    if attempt is None:
        await _bury(session, webhook, "ambiguous, and there is no payment to ask about", clock)
        return
    payment, latest = await payments.lock_with_link(session, attempt.payment_id)
    webhook.payment_id = payment.id
    if not is_watched(payment, now=clock()) or latest.id != attempt.id:
        await _bury(session, webhook, "ambiguous, and the link is not asked about any more", clock)
        return
    payment.next_check_at = clock()
    _finish(session, webhook, webhooks.IGNORED, "ambiguous: the provider is asked", clock)


async def _ask_soon(
    session: Session, webhook: WebhookEvent, report: WebhookReport, clock: Clock
) -> None:
    """Have the provider asked at once about what is named: it would be anyway, only later."""
    if report.order_code is not None:
        attempt = await payments.find_attempt_by_order_code(session, report.order_code)
        if attempt is not None:
            payment = await payments.lock_payment(session, attempt.payment_id)
            webhook.payment_id = payment.id
            if is_watched(payment, now=clock()) and not payment.is_reserved:
                payment.next_check_at = clock()
    if report.refund_reference is not None:
        refund_id = report.refund_reference.rpartition("-")[0]
        payment_id = await refunds.find_payment_id(session, refund_id)
        if payment_id is not None:
            await payments.lock_payment(session, payment_id)
            refund = await refunds.lock_refund(session, refund_id)
            webhook.payment_id = payment_id
            if refund.next_check_at is not None:
                refund.next_check_at = clock()
    _finish(session, webhook, webhooks.IGNORED, report.reason, clock)


def _finish(
    session: Session, webhook: WebhookEvent, status: str, reason: str | None, clock: Clock
) -> datetime:
    now = clock()
    webhook.status = status
    webhook.reason = reason
    webhook.processed_at = now
    webhook.next_check_at = None
    tell(
        session,
        WebhookMoved(
            webhook_id=webhook.id,
            outcome=status,
            payment_id=webhook.payment_id,
            reason=reason,
            waited=now - webhook.received_at,
        ),
    )
    return now


async def _bury(session: Session, webhook: WebhookEvent, reason: str, clock: Clock) -> None:
    """Set a webhook aside for an operator, in the table and in the dead-letter topic."""
    now = _finish(session, webhook, webhooks.DEAD, reason[:255], clock)
    await outbox.add(
        session,
        outbox.NewMessage(
            topic=topics.DEAD_LETTERS,
            message_key=webhook.id,
            message_id=new_id("msg", now),
            payload=events.webhook_dead(
                webhook_id=webhook.id,
                provider=webhook.provider,
                reason=reason,
                attempts=webhook.attempts,
                at=now,
            ),
            headers=tracing.message_headers(topics.DEAD_LETTERS),
            at=now,
        ),
    )
