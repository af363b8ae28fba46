"""The witness: hears of every committed fact, and counts it, logs it and marks its trace."""

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

    def __call__(self, fact: Fact) -> None:
        """Tell of one fact."""
        match fact:
            case PaymentChanged():
                self._payment_changed(fact)
            case MoneyReceived():
                self._money_received(fact)
            case WebhookMoved():
                self._webhook_moved(fact)
            case KeyUsed():
                self._metrics.idempotency.labels(fact.outcome).inc()

    def _payment_changed(self, fact: PaymentChanged) -> None:
        if fact.from_status != fact.to_status:
            self._metrics.payments.labels(fact.from_status or "none", fact.to_status).inc()
        if fact.event_type in REFUND_MOVES:
            self._metrics.refunds.labels(str(fact.refund_status)).inc()
        if fact.event_type == "refund.succeeded":
            self._metrics.money_refunded.labels(fact.currency).inc(fact.amount or 0)
        tracing.mark(payment_id=fact.payment_id, refund_id=fact.refund_id)
        _write(
            "payment.changed",
            change=fact.event_type,
            payment_id=fact.payment_id,
            refund_id=fact.refund_id,
            version=fact.version,
            status=fact.to_status,
            amount=fact.amount,
            currency=fact.currency,
        )

    def _money_received(self, fact: MoneyReceived) -> None:
        self._metrics.money_received.labels(fact.currency).inc(fact.amount)
        tracing.mark(payment_id=fact.payment_id)
        _write(
            "money.received",
            receipt_id=fact.receipt_id,
            payment_id=fact.payment_id,
            amount=fact.amount,
            currency=fact.currency,
            disposition=fact.disposition,
        )

    def _webhook_moved(self, fact: WebhookMoved) -> None:
        self._metrics.webhooks.labels(fact.outcome).inc()
        if fact.outcome == "dead":
            self._metrics.dead_letters.inc()
        waited = fact.waited.total_seconds() if fact.waited is not None else None
        if waited is not None:
            self._metrics.webhook_seconds.observe(max(0.0, waited), tracing.exemplar())
        tracing.mark(webhook_id=fact.webhook_id, payment_id=fact.payment_id)
        if fact.outcome in RECEPTIONS:
            return
        _write(
            "webhook.moved",
            is_trouble=fact.outcome in {"postponed", "dead"},
            outcome=fact.outcome,
            webhook_id=fact.webhook_id,
            payment_id=fact.payment_id,
            reason=fact.reason,
            waited_ms=None if waited is None else round(waited * 1000),
        )


def _write(event: str, *, is_trouble: bool = False, **fields: str | int | None) -> None:
    write = log.warning if is_trouble else log.info
    write(event, **{name: value for name, value in fields.items() if value is not None})
