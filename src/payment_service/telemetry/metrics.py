"""Metrics: the catalogue. A metric stands here with its unit, or it does not exist.

Every series is there from the start, at zero, so that a rate never misses the first event. Labels
have few values: never an id, an amount or a text from outside. One registry per `Metrics`, one
`Metrics` per process.
"""

import platform
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)

from payment_service.domain.payment import TRANSITIONS, PaymentStatus
from payment_service.domain.refund import RefundStatus
from payment_service.telemetry.of_provider import OfProvider
from payment_service.telemetry.watched import Watched

# The edges at 0.2, 0.3, 0.5 and 1 second are those that objectives are set at.
HTTP_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0)
CALL_BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 15.0, 30.0)
DELAY_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
JOB_BUCKETS = (0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

UNMATCHED = "unmatched"  # requests that no operation of the contract answers
STATUS_CLASSES = ("2xx", "4xx", "5xx")
WEBHOOK_OUTCOMES = (
    "received", "duplicate", "signature_invalid", "rate_limited", "source_refused",  # at the door
    "applied", "ignored", "postponed", "dead",  # later
)  # fmt: skip
IDEMPOTENCY_OUTCOMES = ("executed", "replayed", "resumed", "reused", "in_progress")
PROVIDER_OPERATIONS = ("create", "get", "cancel", "refund", "find_refund", "register_webhook")
PROVIDER_OUTCOMES = (
    "ok", "rejected", "not_sent", "held_back", "unknown", "misconfigured", "abandoned",
)  # fmt: skip
CIRCUIT_STATES = ("closed", "half_open", "open")  # by number: 0, 1, 2
RETRY_OUTCOMES = ("granted", "denied")
PUBLISH_FAILURES = ("unavailable", "refused")
CONTRACT_VERDICTS = ("fast", "slow", "crashed")
DOORS = ("write", "read")
CONNECTION_STATES = ("used", "idle")
COMPONENTS = ("api", "relay", "consumer", "scheduler")
JOBS = (
    "creations", "refunds", "webhooks", "overdue", "payments", "closed", "cancellations",  # due
    "audit", "housekeeping",
)  # fmt: skip
JOB_OUTCOMES = ("ok", "failed")

# Else each counter has a twin that tells when the process started.
disable_created_metrics()  # type: ignore[no-untyped-call]

_Any = TypeVar("_Any", Counter, Gauge, Histogram)


class Metrics:
    """Every metric of a process.

    Args:
        version: Of the service.
        operations: The operation ids of the contract.
        provider: The name of the payment provider.
        topics: The topics that are published to.
        currencies: Those that money is counted in.
        invariants: The rules that the auditor checks.
    """

    def __init__(
        self,
        *,
        version: str,
        operations: Sequence[str] = (),
        provider: str = "payos",
        topics: Sequence[str] = (),
        currencies: Sequence[str] = ("VND",),
        invariants: Sequence[str] = (),
    ) -> None:
        self.registry = CollectorRegistry()
        self._add_build_info(version, provider)
        self._add_http(operations)
        self._add_contract(operations)
        self._add_provider(provider)
        self._add_money(currencies)
        self._add_outbox(topics)
        self._add_workers()
        self._add_audit(invariants)

    def _add_build_info(self, version: str, provider: str) -> None:
        self.build_info = self._gauge(
            "payments_build_info",
            "What runs; always 1.",
            version=(version,),
            python=(platform.python_version(),),
            provider=(provider,),
        )
        self.build_info.labels(version, platform.python_version(), provider).set(1)

    def _add_http(self, operations: Sequence[str]) -> None:
        self.http_requests = self._counter(
            "payments_http_requests_total",
            "API requests by operation and class of status.",
            operation=(*operations, UNMATCHED),
            status=STATUS_CLASSES,
        )
        self.http_seconds = self._histogram(
            "payments_http_request_duration_seconds",
            "Time from reading a request's headers to having sent its response, in seconds.",
            HTTP_BUCKETS,
            operation=operations,
        )
        self.idempotency = self._counter(
            "payments_idempotency_total",
            "Requests with an Idempotency-Key by what became of them.",
            outcome=IDEMPOTENCY_OUTCOMES,
        )
        self.unhandled_errors = self._counter(
            "payments_unhandled_errors_total",
            "Errors that nobody expected: each is a bug of ours, by the part that met it.",
            component=COMPONENTS,
        )

    def _add_contract(self, operations: Sequence[str]) -> None:
        self.contract_violations = self._counter(
            "payments_contract_violations_total",
            "Responses of ours that broke the contract and were not sent.",
            operation=operations,
        )
        self._contract_checks = Watched(
            self.registry,
            "payments_contract_checks",
            "Messages held against the contract: accepted by plan (fast), by openapi-core (slow), "
            "or crashed.",
            kind="counter",
            labels=("verdict",),
            read=lambda: dict.fromkeys(((verdict,) for verdict in CONTRACT_VERDICTS), 0),
        )

    def _add_provider(self, provider: str) -> None:
        self.provider_calls = OfProvider(
            self._counter(
                "payments_provider_calls_total",
                "Calls to the provider by operation and outcome.",
                provider=(provider,),
                operation=PROVIDER_OPERATIONS,
                outcome=PROVIDER_OUTCOMES,
            ),
            provider,
        )
        self.provider_seconds = OfProvider(
            self._histogram(
                "payments_provider_call_duration_seconds",
                "Time of calls to the provider, in seconds.",
                CALL_BUCKETS,
                provider=(provider,),
                operation=PROVIDER_OPERATIONS,
            ),
            provider,
        )
        self.provider_circuits = OfProvider(
            self._gauge(
                "payments_provider_circuit_state",
                "Whether calls are let out: 0 all (closed), 1 one at a time (half-open), "
                "2 none (open).",
                provider=(provider,),
                operation=PROVIDER_OPERATIONS,
            ),
            provider,
        )
        self.provider_retries = OfProvider(
            self._counter(
                "payments_provider_retries_total",
                "Calls that could be tried again safely: granted, or denied because the retry "
                "budget is exhausted.",
                provider=(provider,),
                operation=PROVIDER_OPERATIONS,
                outcome=RETRY_OUTCOMES,
            ),
            provider,
        )
        self.webhooks = OfProvider(
            self._counter(
                "payments_webhooks_total",
                "Webhooks by what became of them; each counts at the door and again later.",
                provider=(provider,),
                outcome=WEBHOOK_OUTCOMES,
            ),
            provider,
        )
        self.webhook_seconds = self._histogram(
            "payments_webhook_delay_seconds",
            "Time from storing a webhook to its being applied, ignored or given up, in seconds.",
            DELAY_BUCKETS,
        )
        self.webhooks_waiting = self._gauge(
            "payments_webhooks_waiting", "Stored webhooks that are not applied yet."
        )
        self.webhooks_age = self._gauge(
            "payments_webhooks_oldest_age_seconds",
            "Age of the oldest webhook that is not applied yet, in seconds.",
        )
        self.webhooks_dead = self._gauge(
            "payments_webhooks_dead", "Webhooks that were given up and wait for an operator now."
        )

    def _add_money(self, currencies: Sequence[str]) -> None:
        self.payments = Counter(
            "payments_transitions_total",
            "Payments by change of status; a new one comes from none.",
            ["from_status", "to_status"],
            registry=self.registry,
        )
        for first in (PaymentStatus.PENDING, PaymentStatus.FAILED, PaymentStatus.EXPIRED):
            self.payments.labels("none", first)
        for source, targets in TRANSITIONS.items():
            for target in targets:
                self.payments.labels(source, target)
        self.refunds = self._counter(
            "payments_refunds_total",
            "Refunds by the state that they came to.",
            state=tuple(RefundStatus),
        )
        self.money_received = self._counter(
            "payments_money_received_minor_units_total",
            "Money that the provider reported as received, in minor units of the currency.",
            currency=currencies,
        )
        self.money_refunded = self._counter(
            "payments_money_refunded_minor_units_total",
            "Money that was paid back, in minor units of the currency; what banks returned later "
            "is not taken off.",
            currency=currencies,
        )
        self.creations_age = self._gauge(
            "payments_creations_oldest_age_seconds",
            "Age of the oldest creation of a payment that has no answer yet, in seconds.",
        )
        self.refunds_waiting = self._gauge(
            "payments_refunds_waiting", "Refunds that are not paid out yet."
        )
        self.refunds_age = self._gauge(
            "payments_refunds_oldest_age_seconds",
            "Age of the oldest refund that is not paid out yet, in seconds.",
        )
        self.exceptions_open = self._gauge(
            "payments_exceptions_open",
            "Money that a person must look at: open exceptions.",
        )
        self.exceptions_age = self._gauge(
            "payments_exceptions_oldest_age_seconds",
            "Age of the exception that has been open longest, in seconds.",
        )

    def _add_outbox(self, topics: Sequence[str]) -> None:
        self.messages_published = self._counter(
            "payments_messages_published_total",
            "Messages that the broker has taken.",
            topic=topics,
        )
        self.publish_failures = self._counter(
            "payments_publish_failures_total",
            "Messages that the broker did not take: unavailable ones are sent again, refused ones "
            "wait for an operator.",
            topic=topics,
            reason=PUBLISH_FAILURES,
        )
        self.outbox_pending = self._gauge(
            "payments_outbox_pending", "Messages that wait in the outbox."
        )
        self.outbox_age = self._gauge(
            "payments_outbox_oldest_age_seconds",
            "Age of the oldest message that waits in the outbox, in seconds.",
        )
        self.outbox_refused = self._gauge(
            "payments_outbox_refused",
            "Messages that the broker will never take; each blocks its payment's later ones.",
        )

    def _add_workers(self) -> None:
        self._consumer_lag = Watched(
            self.registry,
            "payments_consumer_lag_messages",
            "Messages of this consumer's partitions that are not handled yet.",
            kind="gauge",
            labels=("topic", "partition"),
            read=dict,
        )
        self.dead_letters = self._counter(
            "payments_dead_letters_total", "Webhooks that were given up, to wait for an operator."
        )
        self.job_runs = self._counter(
            "payments_job_items_total",
            "Items that the scheduler's jobs worked on, by outcome.",
            task=JOBS,
            outcome=JOB_OUTCOMES,
        )
        self.job_seconds = self._histogram(
            "payments_job_duration_seconds",
            "Time of one run of a scheduler's job over all that was due, in seconds.",
            JOB_BUCKETS,
            task=JOBS,
        )
        self.job_completed = self._gauge(
            "payments_job_completed_timestamp_seconds",
            "When the active scheduler last got through a job, whether something was due or not, "
            "in seconds since 1970; 0 before the first time.",
            task=JOBS,
        )
        self._connections = Watched(
            self.registry,
            "payments_database_connections",
            "Connections to the database by door (write, read) and state (used, idle).",
            kind="gauge",
            labels=("door", "state"),
            read=lambda: dict.fromkeys(product(DOORS, CONNECTION_STATES), 0),
        )
        self.connections_max = self._gauge(
            "payments_database_connections_max", "Connections that each door may use at a time."
        )

        self.checks_age = self._gauge(
            "payments_checks_oldest_age_seconds",
            "How long a payment has been due to be compared with the provider, in seconds: more "
            "than minutes means that the budget of calls is too small for what waits.",
        )

    def _add_audit(self, invariants: Sequence[str]) -> None:
        self.audit_violations = self._gauge(
            "payments_audit_violations",
            "Rows that break a rule about money, by rule: each is a bug or damage. Must be 0.",
            invariant=invariants,
        )
        self.audit_completed = self._gauge(
            "payments_audit_completed_timestamp_seconds",
            "When all payments were last audited, in seconds since 1970; 0 before the first time.",
        )

    def watch_lag(self, read: Callable[[], Mapping[tuple[str, int], int]]) -> None:
        """Take the consumer's lag from `Subscriber.lag` at each scrape: never stale."""
        self._consumer_lag.read = lambda: {
            (topic, str(partition)): lag for (topic, partition), lag in read().items()
        }

    def watch_connections(self, read: Callable[[], Mapping[tuple[str, ...], int]]) -> None:
        """Take the use of the database's pools from `Database.connections` at each scrape."""
        self._connections.read = read

    def watch_contract_checks(self, read: Callable[[], Mapping[str, int]]) -> None:
        """Take the counts of contract checks, by `CONTRACT_VERDICTS`, at each scrape."""
        self._contract_checks.read = lambda: {
            (verdict,): read().get(verdict, 0) for verdict in CONTRACT_VERDICTS
        }

    def _counter(self, name: str, documentation: str, **labels: Sequence[str]) -> Counter:
        return _with_series(
            Counter(name, documentation, list(labels), registry=self.registry), labels
        )

    def _gauge(self, name: str, documentation: str, **labels: Sequence[str]) -> Gauge:
        return _with_series(
            Gauge(name, documentation, list(labels), registry=self.registry), labels
        )

    def _histogram(
        self, name: str, documentation: str, buckets: Sequence[float], **labels: Sequence[str]
    ) -> Histogram:
        histogram = Histogram(
            name, documentation, list(labels), buckets=buckets, registry=self.registry
        )
        return _with_series(histogram, labels)


def _with_series(metric: _Any, labels: Mapping[str, Sequence[str]]) -> _Any:
    """Create the series of every combination of the labels' values."""
    if labels:
        for values in product(*labels.values()):
            metric.labels(*values)
    return metric
