"""Processes are killed and servers go away under load: nothing is lost, nothing counts twice.

CRASH_WEBHOOKS (1000) is the number of webhooks, CRASH_OUTAGE_SECONDS (8) the length of an outage.
"""

import json
import os
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.deployment import Deployment, deployment, read_topic
from tests.support.process import wait_until
from tests.support.simulator import Simulator

WEBHOOKS = int(os.environ.get("CRASH_WEBHOOKS", "1000"))
OUTAGE_SECONDS = float(os.environ.get("CRASH_OUTAGE_SECONDS", "8"))
PARTS = 5  # transfers a payment
PART = 9_000
CLIENTS = 8
DRAIN_SECONDS = 120 + WEBHOOKS / 20
pytestmark = [
    pytest.mark.stack, pytest.mark.slow, pytest.mark.xdist_group("stack"), pytest.mark.timeout(900)
]  # fmt: skip


class World:
    """A deployment, and what the database says of it."""

    def __init__(self, running: Deployment, mysql: Any, kafka: Any, database: str) -> None:
        self.running = running
        self.mysql = mysql
        self.kafka = kafka
        self._database = database

    def count(self, table: str, where: str = "1 = 1") -> int:
        """Count rows."""
        query = f"SELECT COUNT(*) FROM {self._database}.{table} WHERE {where}"
        return int(self.mysql.query(query)[0][0])

    def wait_until_drained(self, payments: int) -> None:
        """Wait until every payment is paid and every message has left."""

        def drained() -> bool:
            paid = self.count("payments", "status = 'paid'") == payments
            return paid and self.count("outbox_events", "status <> 'published'") == 0

        wait_until(drained, seconds=DRAIN_SECONDS, what="everything is applied and published")

    def events(self, payment_ids: set[str]) -> dict[str, list[tuple[int, str]]]:
        """Read the Kafka log: per payment the sequences and ids, in the order of the log."""
        found: dict[str, list[tuple[int, str]]] = {name: [] for name in payment_ids}
        bootstrap = f"127.0.0.1:{self.kafka.port}"
        for key, event in read_topic(bootstrap, "payments.events.v1", seconds=120):
            if key in found:
                found[key].append((event["data"]["sequence"], event["id"]))
        return found


@pytest.fixture
def world(
    tmp_path: Path, mysql_server: Any, kafka_server: Any, simulator: Simulator
) -> Iterator[World]:
    name = f"test_{secrets.token_hex(8)}"
    with deployment(
        tmp_path,
        database_url=mysql_server.create_database(name),
        broker_url=f"kafka://127.0.0.1:{kafka_server.port}",
        simulator=simulator,
    ) as running:
        yield World(running, mysql_server, kafka_server, name)
    mysql_server.drop_database(name)


def pay_in_parts(world: World, payments: list[dict[str, Any]]) -> Any:
    """Let payers pay, and payOS deliver every webhook until it is acknowledged."""
    simulator = world.running.simulator
    simulator.webhook_url(f"{world.running.url}/v1/webhooks/payos")
    for payment in payments:
        simulator.pay(payment["provider_reference"], PART, times=PARTS, webhook="on")
        yield


def check_log(events: dict[str, list[tuple[int, str]]]) -> int:
    """Check each payment's events: all there, in order; return how many were told twice."""
    repeated = 0
    for name, told in events.items():
        first: dict[int, str] = {}
        for sequence, event_id in told:
            assert first.setdefault(sequence, event_id) == event_id, (
                f"{name}: two events, one place"
            )
            assert sequence == 1 or sequence - 1 in first, f"{name}: {sequence} came too early"
        assert sorted(first) == list(range(1, PARTS + 2)), f"{name}: {sorted(first)}"
        repeated += len(told) - len(first)
    return repeated


def test_killed_relay_and_consumer_lose_nothing_and_double_nothing(world: World) -> None:
    roles = world.running.start("api", "relay", "relay", "consumer", "consumer", "scheduler")
    _, relay, _, consumer, _, _ = roles
    with ThreadPoolExecutor(CLIENTS) as pool:
        amounts = [PART * PARTS] * (WEBHOOKS // PARTS)
        payments = list(pool.map(world.running.create, amounts, map(str, range(len(amounts)))))

    started = time.monotonic()
    for number, _ in enumerate(pay_in_parts(world, payments)):
        if number == len(payments) // 3:
            relay.kill()
            consumer.kill()
        if number == 2 * len(payments) // 3:
            relay.restart()
            consumer.restart()
    world.wait_until_drained(len(payments))
    seconds = time.monotonic() - started

    assert world.count("receipts") == WEBHOOKS
    repeated = check_log(world.events({payment["payment_id"] for payment in payments}))
    assert world.running.command("audit").returncode == 0
    print(json.dumps({"webhooks": WEBHOOKS, "seconds": round(seconds, 1), "repeated": repeated}))


def test_kafka_and_mysql_may_go_away_under_load(world: World) -> None:
    world.running.start("api", "relay", "consumer", "scheduler")
    payments = [world.running.create(PART * PARTS) for _ in range(20)]
    deliveries = pay_in_parts(world, payments)

    world.kafka.kill()
    for _ in range(10):
        next(deliveries)
    during = world.running.create(PART * PARTS)
    outage = time.monotonic() + OUTAGE_SECONDS
    wait_until(lambda: time.monotonic() > outage, seconds=OUTAGE_SECONDS + 5, what="the outage")
    assert world.count("outbox_events", "status = 'pending'") > 0
    world.kafka.restart()

    world.mysql.kill()
    try:
        away = world.running.call("GET", f"/v1/payments/{during['payment_id']}")
        assert (away.status_code, away.json()["code"]) == (503, "STORAGE_UNAVAILABLE")
        assert "retry-after" in away.headers
        assert httpx.get(f"{world.running.url}/v1/health", trust_env=False).status_code == 200
    finally:
        world.mysql.restart()
    for _ in deliveries:
        pass
    world.wait_until_drained(len(payments))

    check_log(world.events({payment["payment_id"] for payment in payments}))
    assert world.count("receipts") == len(payments) * PARTS
    assert world.running.command("audit").returncode == 0
