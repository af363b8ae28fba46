"""One payment over four processes, watched: its spans, its log lines, its events, its metrics.

Every text that must stay secret is unmistakable, so that a leak is found wherever it is.
"""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.support.deployment import Deployment, deployment, read_topic
from tests.support.otlp import Collector, Span, running_collector
from tests.support.process import wait_until
from tests.support.simulator import PAYMENT, PAYOUT, Simulator

ROLES = ("api", "relay", "consumer", "scheduler")
PAYER_ACCOUNT, PAYER_NAME = "97043600004242", "CANARY PAYER NGUYEN"
REFUND_ACCOUNT, REFUND_NAME = "97043600002323", "CANARY REFUNDEE TRAN"
DESCRIPTION = "canary description of goods"
BAD_TOKEN = "canary.token.that-nobody-issued"  # it is none
CANARIES = (
    PAYER_ACCOUNT, PAYER_NAME, REFUND_ACCOUNT, REFUND_NAME, DESCRIPTION, BAD_TOKEN,
    PAYMENT.api_key, PAYMENT.checksum_key, PAYOUT.api_key, PAYOUT.checksum_key,
)  # fmt: skip


@dataclass
class Seen:
    """All that was seen of a journey."""

    payment_id: str = ""
    refund_id: str = ""
    request_id: str = ""  # of the payment's creation
    token: str = field(default="", repr=False)
    qr_token: str = field(default="", repr=False)
    spans: list[Span] = field(default_factory=list)
    logs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # by role
    raw_logs: dict[str, str] = field(default_factory=dict)
    problems: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    notices: list[dict[str, Any]] = field(default_factory=list)  # what tells of stored webhooks
    series: list[str] = field(default_factory=list)  # names and labels
    moved: dict[str, float] = field(default_factory=dict)  # series that grew, all roles together

    def lines(self) -> list[tuple[str, dict[str, Any]]]:
        """List all log lines with the role that wrote each, in time."""
        every = [(role, line) for role, lines in self.logs.items() for line in lines]
        return sorted(every, key=lambda entry: str(entry[1].get("time", "")))

    def traces(self) -> list[str]:
        """Name the traces in which the payment is marked."""
        marked = [s for s in self.spans if s.attributes.get("payment.id") == self.payment_id]
        return list(dict.fromkeys(span.trace_id for span in marked))


def travel(running: Deployment, simulator: Simulator) -> Seen:
    """Create, pay, refund; and fail in all the ways that could make somebody talk too much."""
    seen = Seen(token=running.token)
    created = running.call("POST", "/v1/payments", {
        "amount": 45_000, "currency": "VND", "order_reference": f"order-{secrets.token_hex(6)}",
        "description": DESCRIPTION, "return_url": "https://shop.example/t",
        "cancel_url": "https://shop.example/c",
    })  # fmt: skip
    assert created.status_code == 201, created.text
    payment = created.json()
    seen.payment_id, seen.request_id = payment["payment_id"], created.headers["x-request-id"]
    seen.qr_token = payment["qr_url"].rpartition("/")[2]
    httpx.get(payment["qr_url"], trust_env=False, timeout=30).raise_for_status()
    simulator.pay(
        payment["provider_reference"], counter_bank="970436", counter_account=PAYER_ACCOUNT,
        counter_name=PAYER_NAME,
    )  # fmt: skip
    webhook = simulator.webhook(payment["provider_reference"])
    for _ in range(2):
        assert running.call("POST", "/v1/webhooks/payos", webhook).status_code == 200
    running.wait_for(seen.payment_id, "paid", seconds=60)
    path = f"/v1/payments/{seen.payment_id}/refunds"
    destination = {
        "type": "bank_account", "bank_bin": "970436", "account_number": REFUND_ACCOUNT,
        "account_name": REFUND_NAME,
    }  # fmt: skip
    body = {"amount": 20_000, "reason": "other", "destination": destination}
    refund = running.call("POST", path, body)
    assert refund.status_code == 201, refund.text
    seen.refund_id = refund.json()["refund_id"]
    running.wait_for(seen.payment_id, "partially_refunded", seconds=60)
    seen.problems = _stumble(running, path, webhook, body)
    return seen


def _stumble(
    running: Deployment, refunds: str, webhook: dict[str, Any], refund: dict[str, Any]
) -> list[dict[str, Any]]:
    """Make every mistake with a secret in it; return the problems that were answered."""
    bearer = {"Authorization": f"Bearer {running.token}", "Idempotency-Key": "stumble-000001"}
    forged = webhook | {"signature": "0" * 64}
    with httpx.Client(base_url=running.url, timeout=30, trust_env=False) as http:
        answers = [
            http.get("/v1/payments", headers={"Authorization": f"Bearer {BAD_TOKEN}"}),
            http.post("/v1/webhooks/payos", json=forged),
            http.post("/v1/webhooks/payos", content=json.dumps(webhook)[:-9]),
            http.post(refunds, json=refund | {"amount": 10**9}, headers=bearer),
            http.post(refunds, json=refund | {"account_name": REFUND_NAME}, headers=bearer),
            http.post(refunds, json=refund | {"amount": REFUND_ACCOUNT}, headers=bearer),
            http.post(f"/v1/{BAD_TOKEN}", json=refund, headers=bearer),
            http.get(f"/v1/payments?cursor={BAD_TOKEN}", headers=bearer),
        ]
    assert all(400 <= answer.status_code < 500 for answer in answers), answers
    return [answer.json() for answer in answers]


@contextmanager
def watched(
    folder: Path, *, database_url: str, broker_url: str, simulator: Simulator, **environ: str
) -> Iterator[tuple[Deployment, Collector]]:
    """Run the four processes with a collector beside them."""
    with (
        running_collector() as collector,
        deployment(
            folder, database_url=database_url, broker_url=broker_url,
            simulator=simulator,
        ) as running,
    ):  # fmt: skip
        running.environ |= collector.environment | environ
        running.start(*ROLES)
        yield running, collector


def see(
    folder: Path, *, database_url: str, broker_url: str, simulator: Simulator, **environ: str
) -> Seen:
    """Travel once, and bring back all that was seen."""
    with watched(
        folder, database_url=database_url, broker_url=broker_url, simulator=simulator, **environ
    ) as (running, collector):
        before = _scrape(running)
        seen = travel(running, simulator)
        wait_until(lambda: _is_quiet(running), seconds=60, what="everything has left the outbox")
        after = _scrape(running)
        seen.moved = {
            name: after[name] - before.get(name, 0.0)
            for name in after
            if after[name] != before.get(name, 0.0)
        }
        for role in running.roles:
            assert role.stop() == 0, role.log
        seen.spans = collector.spans()
        seen.logs = {role.name: role.logs() for role in running.roles}
        seen.raw_logs = {role.name: role.log for role in running.roles}
        bootstrap = broker_url.removeprefix("kafka://")
        topic = read_topic(bootstrap, "payments.events.v1", seconds=60)
        seen.events = [event for key, event in topic if key == seen.payment_id]
        topic = read_topic(bootstrap, "payments.webhooks.v1", seconds=60)
        seen.notices = [notice for _, notice in topic]
        seen.series = list(after)
    return seen


def _is_quiet(running: Deployment) -> bool:
    api = running.roles[0].metrics()
    return api["payments_outbox_pending"] == 0


def _scrape(running: Deployment) -> dict[str, float]:
    """Add the counters of all processes up."""
    total: dict[str, float] = {}
    for role in running.roles:
        for name, value in role.metrics().items():
            if "_bucket{" not in name and ("_total" in name or "_count" in name):
                total[name] = total.get(name, 0.0) + value
    return total
