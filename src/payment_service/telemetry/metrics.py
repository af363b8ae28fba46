"""Metrics: the catalogue. A metric stands here with its unit, or it does not exist.

Every series is there from the start, at zero, so that a rate never misses the first event.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
STATUS_CLASSES = ("2xx", "4xx", "5xx")
WEBHOOK_OUTCOMES = (
    "received", "duplicate", "signature_invalid", "applied", "ignored", "dead", "postponed",
)  # fmt: skip
PROVIDER_OPERATIONS = ("create", "get", "cancel", "refund", "find_refund", "register_webhook")
PROVIDER_OUTCOMES = ("ok", "rejected", "not_sent", "unknown", "misconfigured")
JOBS = ("payments", "refunds", "webhooks", "housekeeping")


class Metrics:
    """Every metric of a process."""

    def __init__(self, *, version: str, operations: tuple[str, ...] = ()) -> None:
        self.registry = registry = CollectorRegistry()
        self.http_requests = Counter(
            "payments_http_requests_total",
            "API requests by operation and class of status.",
            ["operation", "status"],
            registry=registry,
        )
        self.http_seconds = Histogram(
            "payments_http_request_duration_seconds",
            "Time from reading a request's headers to having sent its response, in seconds.",
            ["operation"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.contract_violations = Counter(
            "payments_contract_violations_total",
            "Responses of ours that broke the contract and were not sent.",
            ["operation"],
            registry=registry,
        )
        self.webhooks = Counter(
            "payments_webhooks_total",
            "Webhooks by what became of them.",
            ["outcome"],
            registry=registry,
        )
        self.provider_calls = Counter(
            "payments_provider_calls_total",
            "Calls to the provider by operation and outcome.",
            ["operation", "outcome"],
            registry=registry,
        )
        self.provider_seconds = Histogram(
            "payments_provider_call_duration_seconds",
            "Time of calls to the provider, in seconds.",
            ["operation"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.outbox_published = Counter(
            "payments_outbox_published_total",
            "Messages that the broker has taken.",
            registry=registry,
        )
        self.outbox_refused = Counter(
            "payments_outbox_refused_total",
            "Messages that the broker will never take; their payment waits for an operator.",
            registry=registry,
        )
        self.outbox_pending = Gauge(
            "payments_outbox_pending",
            "Messages that wait in the outbox.",
            registry=registry,
        )
        self.outbox_age = Gauge(
            "payments_outbox_oldest_age_seconds",
            "Age of the oldest message that waits in the outbox, in seconds.",
            registry=registry,
        )
        self.consumer_lag = Gauge(
            "payments_consumer_lag",
            "Messages that wait for this consumer, by topic and partition.",
            ["topic", "partition"],
            registry=registry,
        )
        self.job_runs = Counter(
            "payments_job_items_total",
            "Items that the scheduler's jobs worked on, by outcome.",
            ["job", "outcome"],
            registry=registry,
        )
        self.build_info = Gauge(
            "payments_build_info", "The version that runs.", ["version"], registry=registry
        )
        self._create_series(version, operations)

    def _create_series(self, version: str, operations: tuple[str, ...]) -> None:
        self.build_info.labels(version).set(1)
        for operation in operations:
            self.http_seconds.labels(operation)
            self.contract_violations.labels(operation)
            for status in STATUS_CLASSES:
                self.http_requests.labels(operation, status)
        for outcome in WEBHOOK_OUTCOMES:
            self.webhooks.labels(outcome)
        for operation in PROVIDER_OPERATIONS:
            self.provider_seconds.labels(operation)
            for outcome in PROVIDER_OUTCOMES:
                self.provider_calls.labels(operation, outcome)
        for job in JOBS:
            for outcome in ("ok", "failed"):
                self.job_runs.labels(job, outcome)
