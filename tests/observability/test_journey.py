"""One payment is one story: the same ids in traces, logs and events, across four processes.

The processes are real, so are MySQL and Kafka; spans come over the wire.
"""

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from tests.observability.journey import CANARIES, ROLES, Seen, see
from tests.support.otlp import Span
from tests.support.simulator import Simulator

pytestmark = [
    pytest.mark.stack, pytest.mark.slow, pytest.mark.xdist_group("stack"), pytest.mark.timeout(400)
]  # fmt: skip

WEBHOOKS, EVENTS = "payments.webhooks.v1", "payments.events.v1"


@pytest.fixture(scope="module")
def seen(
    tmp_path_factory: pytest.TempPathFactory,
    mysql_server: Any,
    kafka_server: Any,
    shared_simulator: Simulator,
) -> Iterator[Seen]:
    """Travel once, with the most talkative logs, for all the tests of this module."""
    name = f"test_{secrets.token_hex(8)}"
    yield see(
        tmp_path_factory.mktemp("journey"),
        database_url=mysql_server.create_database(name),
        broker_url=f"kafka://127.0.0.1:{kafka_server.port}",
        simulator=shared_simulator,
        PAYMENTS_LOG_LEVEL="DEBUG",
    )
    mysql_server.drop_database(name)


def named(seen: Seen, name: str) -> list[Span]:
    return [span for span in seen.spans if span.name == name]


def one(seen: Seen, name: str, **attributes: str) -> Span:
    found = [
        span
        for span in named(seen, name)
        if all(span.attributes.get(key.replace("_", ".")) == v for key, v in attributes.items())
    ]
    assert len(found) == 1, [span.name for span in seen.spans]
    return found[0]


def test_a_webhook_is_one_trace_from_the_request_to_its_event(seen: Seen) -> None:
    process = one(seen, f"process {WEBHOOKS}", payment_id=seen.payment_id)
    trace = {span.span_id: span for span in seen.spans if span.trace_id == process.trace_id}
    create = trace[process.parent_id]
    request = trace[create.parent_id]
    told = [span for span in trace.values() if span.name == f"create {EVENTS}"]

    assert (create.name, create.kind) == (f"create {WEBHOOKS}", "producer")
    assert (request.name, request.kind) == ("POST /v1/webhooks/payos", "server")
    assert request.parent_id == ""
    assert [span.parent_id for span in told] == [process.span_id]
    assert process.kind == "consumer"
    assert process.process != request.process, "it was another process"
    assert process.links == ((create.trace_id, create.span_id),)


def test_the_relay_links_to_the_messages_that_it_sends(seen: Seen) -> None:
    create = next(
        span for span in named(seen, f"create {WEBHOOKS}")
        if span.span_id == one(seen, f"process {WEBHOOKS}", payment_id=seen.payment_id).parent_id
    )  # fmt: skip
    sends = named(seen, f"send {WEBHOOKS}")
    linking = [span for span in sends if (create.trace_id, create.span_id) in span.links]

    assert len(linking) == 1
    assert linking[0].kind == "client"
    assert linking[0].trace_id != create.trace_id
    assert linking[0].process != create.process
    sent = {link for span in named(seen, f"send {EVENTS}") for link in span.links}
    made = {(span.trace_id, span.span_id) for span in named(seen, f"create {EVENTS}")}
    assert sent == made


def test_the_creation_shows_the_call_to_the_provider_and_the_statements(seen: Seen) -> None:
    request = one(seen, "POST /v1/payments", request_id=seen.request_id)
    trace = [span for span in seen.spans if span.trace_id == request.trace_id]
    calls = [span for span in trace if span.kind == "client" and "url.full" in span.attributes]
    statements = [span for span in trace if "db.query.text" in span.attributes]

    assert request.attributes["payment.id"] == seen.payment_id
    assert [call.attributes["http.request.method"] for call in calls] == ["POST"]
    assert {span.attributes["db.system.name"] for span in statements} == {"mysql"}
    assert len(statements) > 3


def test_the_payout_is_a_trace_of_the_scheduler(seen: Seen) -> None:
    jobs = [span for span in named(seen, "job refunds")
            if span.attributes.get("refund.id") == seen.refund_id]  # fmt: skip

    assert jobs, "the job that ended the refund is marked with it"
    trace = [span for span in seen.spans if span.trace_id == jobs[-1].trace_id]
    assert any("url.full" in span.attributes for span in trace), "it asked the provider"


def test_names_and_attributes_are_those_of_the_conventions(seen: Seen) -> None:
    for span in seen.spans:
        assert span.service == "payment-service"
        assert "pay_" not in span.name, "names are of few values"
        assert not {"http.method", "http.status_code", "db.system", "db.statement"} & set(
            span.attributes
        ), "old conventions"
        if span.kind == "server" and span.attributes.get("http.route"):
            assert span.name == (
                f"{span.attributes['http.request.method']} {span.attributes['http.route']}"
            )
            assert 200 <= span.attributes["http.response.status_code"] < 500
        if span.name.startswith(("create ", "send ", "process ")):
            operation, topic = span.name.split()
            assert span.attributes["messaging.operation.name"] == operation
            assert span.attributes["messaging.destination.name"] == topic
    assert not [span for span in seen.spans if span.name.endswith(("http send", "http receive"))]


def test_every_line_of_every_process_is_json_with_time_level_and_event(seen: Seen) -> None:
    for role, text in seen.raw_logs.items():
        assert text, role
        for line in text.splitlines():
            written = json.loads(line)
            assert {"time", "level", "logger", "event"} <= set(written), line


def test_a_request_s_line_has_all_that_support_asks_for(seen: Seen) -> None:
    (line,) = [line for line in seen.logs["api"] if line["event"] == "request.served"
               and line.get("request_id") == seen.request_id]  # fmt: skip
    request = one(seen, "POST /v1/payments", request_id=seen.request_id)

    assert line["trace_id"] == request.trace_id
    assert line["span_id"] == request.span_id
    assert (line["user_id"], line["tenant_id"]) == ("tester", "shop")
    assert line["duration_ms"] > 0
    reads = [line for line in seen.logs["api"] if line.get("operation") == "getPayment"]
    assert {line["payment_id"] for line in reads} == {seen.payment_id}


def test_the_payment_s_lines_tell_its_story_with_their_traces(seen: Seen) -> None:
    story = [
        (role, line)
        for role, line in seen.lines()
        if line["event"] == "payment.changed" and line["payment_id"] == seen.payment_id
    ]

    assert [(role, line["change"]) for role, line in story] == [
        ("api", "payment.created"), ("consumer", "payment.paid"), ("api", "refund.created"),
        ("scheduler", "refund.succeeded"), ("scheduler", "payment.partially_refunded"),
    ]  # fmt: skip
    assert [line["version"] for _, line in story] == [1, 2, 3, 4, 5]
    marked = set(seen.traces())
    assert all(line["trace_id"] in marked for _, line in story)
    paid = dict(story)["consumer"]
    assert paid["webhook_id"].startswith("whk_")


def test_metrics_moved_by_what_happened(seen: Seen) -> None:
    expected = {
        'payments_transitions_total{from_status="none",to_status="pending"}': 1,
        'payments_transitions_total{from_status="pending",to_status="paid"}': 1,
        'payments_transitions_total{from_status="paid",to_status="partially_refunded"}': 1,
        'payments_money_received_minor_units_total{currency="VND"}': 45_000,
        'payments_money_refunded_minor_units_total{currency="VND"}': 20_000,
        'payments_webhooks_total{outcome="received",provider="payos"}': 1,
        'payments_webhooks_total{outcome="duplicate",provider="payos"}': 1,
        'payments_webhooks_total{outcome="applied",provider="payos"}': 1,
        'payments_webhooks_total{outcome="signature_invalid",provider="payos"}': 1,
        'payments_refunds_total{state="succeeded"}': 1,
        'payments_messages_published_total{topic="payments.events.v1"}': 5,
    }

    assert {name: seen.moved.get(name) for name in expected} == expected


@pytest.mark.parametrize("role", ROLES)
def test_no_log_line_gives_a_secret_away(seen: Seen, role: str) -> None:
    assert [canary for canary in [*CANARIES, seen.token] if canary in seen.raw_logs[role]] == []


def test_no_span_event_or_problem_gives_a_secret_away(seen: Seen) -> None:
    told = {
        "spans": repr(seen.spans),
        "events": json.dumps(seen.events),
        "problems": json.dumps(seen.problems),
        "notices": json.dumps(seen.notices),
        "series": json.dumps(seen.series),
    }

    assert seen.spans
    assert len(seen.events) == 5
    assert len(seen.problems) == 8
    assert seen.notices
    assert seen.series
    for where, text in told.items():
        leaks = [canary for canary in [*CANARIES, seen.token] if canary in text]
        assert leaks == [], where
    assert seen.qr_token not in told["spans"], "whoever knows it can see the QR code"
