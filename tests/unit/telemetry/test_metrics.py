"""The catalogue: every series is there from the start, and says what it is."""

import re

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from payment_service.domain.payment import TRANSITIONS
from payment_service.messaging.topics import TOPICS
from payment_service.telemetry import metrics as catalogue
from payment_service.telemetry.metrics import Metrics

OPERATIONS = ("createPayment", "getPayment")
TOPIC_NAMES = tuple(topic.name for topic in TOPICS)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(
        version="1.2.3",
        operations=OPERATIONS,
        provider="payos",
        topics=TOPIC_NAMES,
        invariants=("a rule",),
    )


def families(metrics: Metrics) -> dict:
    text = generate_latest(metrics.registry).decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_every_metric_has_a_help_text_and_a_unit_in_its_name(metrics: Metrics):
    for line in generate_latest(metrics.registry).decode().splitlines():
        if line.startswith("# HELP"):
            _, _, name, text = line.split(" ", 3)
            assert len(text) > 12, name
            assert re.fullmatch(r"payments_[a-z_]+", name)
        if line.startswith("# TYPE"):
            _, _, name, kind = line.split(" ")
            assert kind != "counter" or name.endswith("_total"), name
            assert kind != "histogram" or name.endswith("_seconds"), name


def test_every_metric_has_its_series_from_the_start(metrics: Metrics):
    # The lag's partitions are only known once the consumer has been given some.
    empty = [name for name, family in families(metrics).items() if not family.samples]

    assert empty == ["payments_consumer_lag_messages"]


def test_all_counters_start_at_zero(metrics: Metrics):
    for family in families(metrics).values():
        for sample in family.samples:
            if family.type == "counter" and sample.name.endswith("_total"):
                assert sample.value == 0, sample


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("payments_http_requests_total", {"operation": "createPayment", "status": "5xx"}),
        ("payments_http_requests_total", {"operation": "unmatched", "status": "4xx"}),
        ("payments_http_request_duration_seconds_count", {"operation": "getPayment"}),
        ("payments_contract_violations_total", {"operation": "createPayment"}),
        ("payments_contract_checks_total", {"verdict": "crashed"}),
        ("payments_provider_calls_total",
         {"provider": "payos", "operation": "create", "outcome": "held_back"}),
        ("payments_provider_circuit_state", {"provider": "payos", "operation": "refund"}),
        ("payments_provider_retries_total",
         {"provider": "payos", "operation": "get", "outcome": "denied"}),
        ("payments_idempotency_total", {"outcome": "replayed"}),
        ("payments_unhandled_errors_total", {"component": "consumer"}),
        ("payments_transitions_total", {"from_status": "none", "to_status": "pending"}),
        ("payments_refunds_total", {"state": "succeeded"}),
        ("payments_money_received_minor_units_total", {"currency": "VND"}),
        ("payments_money_refunded_minor_units_total", {"currency": "VND"}),
        ("payments_messages_published_total", {"topic": "payments.events.v1"}),
        ("payments_publish_failures_total",
         {"topic": "payments.events.v1", "reason": "unavailable"}),
        ("payments_dead_letters_total", {}),
        ("payments_creations_oldest_age_seconds", {}),
        ("payments_refunds_waiting", {}),
        ("payments_refunds_oldest_age_seconds", {}),
        ("payments_checks_oldest_age_seconds", {}),
        ("payments_job_completed_timestamp_seconds", {"task": "housekeeping"}),
        ("payments_exceptions_open", {}),
        ("payments_exceptions_oldest_age_seconds", {}),
        ("payments_outbox_pending", {}),
        ("payments_outbox_oldest_age_seconds", {}),
        ("payments_audit_violations", {"invariant": "a rule"}),
        ("payments_audit_completed_timestamp_seconds", {}),
        ("payments_job_items_total", {"task": "refunds", "outcome": "failed"}),
        ("payments_job_duration_seconds_count", {"task": "payments"}),
        ("payments_outbox_refused", {}),
        ("payments_webhooks_waiting", {}),
        ("payments_webhooks_oldest_age_seconds", {}),
        ("payments_webhooks_dead", {}),
        ("payments_webhook_delay_seconds_count", {}),
        ("payments_database_connections", {"door": "write", "state": "used"}),
    ],
)  # fmt: skip
def test_a_series_that_dashboards_name_exists(metrics: Metrics, name: str, labels: dict[str, str]):
    assert value(metrics, name, **labels) == 0


def test_there_is_a_series_for_every_edge_between_statuses(metrics: Metrics):
    for source, targets in TRANSITIONS.items():
        for target in targets:
            labels = {"from_status": source, "to_status": target}
            assert value(metrics, "payments_transitions_total", **labels) == 0


def test_what_belongs_to_the_provider_carries_its_name(metrics: Metrics):
    metrics.webhooks.labels("applied").inc()
    metrics.provider_calls.labels("create", "unknown").inc()
    metrics.provider_seconds.labels("create").observe(0.3)

    assert value(metrics, "payments_webhooks_total", provider="payos", outcome="applied") == 1
    labels = {"provider": "payos", "operation": "create"}
    assert value(metrics, "payments_provider_calls_total", **labels, outcome="unknown") == 1
    assert value(metrics, "payments_provider_call_duration_seconds_sum", **labels) == 0.3


def test_the_lag_is_read_at_each_scrape_and_goes_with_the_partition(metrics: Metrics):
    lag = {("payments.webhooks.v1", 0): 3, ("payments.webhooks.v1", 1): 0}
    metrics.watch_lag(lambda: lag)
    labels = {"topic": "payments.webhooks.v1", "partition": "0"}
    assert value(metrics, "payments_consumer_lag_messages", **labels) == 3

    lag.clear()

    assert value(metrics, "payments_consumer_lag_messages", **labels) is None


def test_contract_checks_are_read_at_each_scrape(metrics: Metrics):
    counts = {"fast": 5, "slow": 1}
    metrics.watch_contract_checks(lambda: counts)

    counts["fast"] += 1

    assert value(metrics, "payments_contract_checks_total", verdict="fast") == 6
    assert value(metrics, "payments_contract_checks_total", verdict="crashed") == 0


def test_two_of_them_share_nothing(metrics: Metrics):
    other = Metrics(version="1.2.3", operations=OPERATIONS)
    metrics.dead_letters.inc()

    assert value(other, "payments_dead_letters_total") == 0


def test_the_limits_of_objectives_are_edges_of_buckets():
    assert {0.2, 0.3, 0.5, 1.0} <= set(catalogue.HTTP_BUCKETS) & set(catalogue.CALL_BUCKETS)


def test_build_info_names_the_version(metrics: Metrics):
    (sample,) = families(metrics)["payments_build_info"].samples

    assert (sample.labels["version"], sample.labels["provider"]) == ("1.2.3", "payos")
    assert sample.value == 1
