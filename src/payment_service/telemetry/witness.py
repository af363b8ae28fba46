"""The witness: hears of every committed fact, and counts it, logs it and marks its trace."""

from functools import cache

from payment_service.domain.facts import (
    Fact,
    KeyUsed,
    MoneyReceived,
    PaymentChanged,
    WebhookMoved,
)
from payment_service.telemetry import tracing
from payment_service.telemetry.logging import get_logger
from payment_service.telemetry.metrics import Metrics

log = get_logger(__name__)

RECEPTIONS = frozenset({"received", "duplicate"})  # the line of their request tells of them
REFUND_MOVES = frozenset({"refund.created", "refund.succeeded", "refund.failed"})


class Witness:
    """Tells of facts; it must not fail, for what it tells of is done."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._log = log.bind()
        # Kept: it takes longer to find a series, or to make a logger, than to use it.
        self._payments = cache(metrics.payments.labels)
        self._money = cache(metrics.money_received.labels)
        self._webhooks = cache(metrics.webhooks.labels)
        self._keys = cache(metrics.idempotency.labels)

    def __call__(self, fact: Fact) -> None:
        """Tell of one fact."""
        match fact:
            case PaymentChanged():
                self._tell_of_payment(fact)
            case MoneyReceived():
                self._tell_of_money(fact)
            case WebhookMoved():
                self._tell_of_webhook(fact)
            case KeyUsed():
                self._keys(fact.outcome).inc()

    def _tell_of_payment(self, fact: PaymentChanged) -> None:
        if fact.from_status != fact.to_status:
            self._payments(fact.from_status or "none", fact.to_status).inc()
        if fact.event_type in REFUND_MOVES:
            self._metrics.refunds.labels(str(fact.refund_status)).inc()
        if fact.event_type == "refund.succeeded":
            self._metrics.money_refunded.labels(fact.currency).inc(fact.amount or 0)
        tracing.mark(payment_id=fact.payment_id, refund_id=fact.refund_id)
        self._write(
            "payment.changed",
            change=fact.event_type,
            payment_id=fact.payment_id,
            refund_id=fact.refund_id,
            version=fact.version,
            status=fact.to_status,
            amount=fact.amount,
            currency=fact.currency,
        )

    def _tell_of_money(self, fact: MoneyReceived) -> None:
        self._money(fact.currency).inc(fact.amount)
        tracing.mark(payment_id=fact.payment_id)
        self._write(
            "money.received",
            receipt_id=fact.receipt_id,
            payment_id=fact.payment_id,
            amount=fact.amount,
            currency=fact.currency,
            disposition=fact.disposition,
        )

    def _tell_of_webhook(self, fact: WebhookMoved) -> None:
        self._webhooks(fact.outcome).inc()
        if fact.outcome == "dead":
            self._metrics.dead_letters.inc()
        waited = fact.waited.total_seconds() if fact.waited is not None else None
        if waited is not None:
            self._metrics.webhook_seconds.observe(max(0.0, waited), tracing.exemplar())
        tracing.mark(webhook_id=fact.webhook_id, payment_id=fact.payment_id)
        if fact.outcome in RECEPTIONS:
            return
        self._write(
            "webhook.moved",
            is_trouble=fact.outcome in {"postponed", "dead"},
            outcome=fact.outcome,
            webhook_id=fact.webhook_id,
            payment_id=fact.payment_id,
            reason=fact.reason,
            waited_ms=None if waited is None else round(waited * 1000),
        )

    def _write(self, event: str, *, is_trouble: bool = False, **fields: str | int | None) -> None:
        write = self._log.warning if is_trouble else self._log.info
        write(event, **{name: value for name, value in fields.items() if value is not None})
