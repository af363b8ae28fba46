"""The journeys across four separate processes, on real MySQL and real Kafka."""

import json
import secrets
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.support.deployment import Deployment, deployment, read_topic
from tests.support.simulator import Simulator

ROOT = Path(__file__).parents[2]
EVENTS = json.loads((ROOT / "webhook-schemas/events/v1.json").read_text())
pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.xdist_group("stack")]


@pytest.fixture
def running(
    tmp_path: Path, mysql_server: Any, kafka_server: Any, simulator: Simulator
) -> Iterator[Deployment]:
    name = f"test_{secrets.token_hex(8)}"
    broker = f"kafka://127.0.0.1:{kafka_server.port}"
    with deployment(
        tmp_path,
        database_url=mysql_server.create_database(name),
        broker_url=broker,
        simulator=simulator,
    ) as made:
        yield made
    mysql_server.drop_database(name)


def events_of(kafka_server: Any, payment_ids: set[str]) -> dict[str, list[dict[str, Any]]]:
    """Read the events of some payments, in order, each checked against its schema."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for key, event in read_topic(f"127.0.0.1:{kafka_server.port}", "payments.events.v1"):
        if key in payment_ids:
            jsonschema.validate(event, EVENTS)
            found[key].append(event)
    return found


def test_payment_is_paid_refunded_and_told_across_processes(
    running: Deployment, simulator: Simulator, kafka_server: Any
) -> None:
    roles = running.start("api", "relay", "consumer", "scheduler")

    payment = running.create(100)
    simulator.pay(payment["provider_reference"])
    webhook = simulator.webhook(payment["provider_reference"])
    for _ in range(3):
        assert running.call("POST", "/v1/webhooks/payos", webhook).status_code == 200
    running.wait_for(payment["payment_id"], "paid")
    path = f"/v1/payments/{payment['payment_id']}/refunds"
    refund = {"amount": 40, "reason": "other", "destination": {"type": "source"}}
    assert running.call("POST", path, refund).status_code == 201
    running.wait_for(payment["payment_id"], "partially_refunded")
    exits = [role.stop() for role in roles]

    events = events_of(kafka_server, {payment["payment_id"]})[payment["payment_id"]]
    assert [event["type"] for event in events] == [
        "payment.created", "payment.paid", "refund.created", "refund.succeeded",
        "payment.partially_refunded",
    ]  # fmt: skip
    assert [event["data"]["sequence"] for event in events] == [1, 2, 3, 4, 5]
    assert exits == [0, 0, 0, 0]
    assert running.command("audit").returncode == 0


def test_operators_commands_answer(running: Deployment, simulator: Simulator) -> None:
    running.start("api", "relay", "consumer")
    payment = running.create(100)
    simulator.pay(payment["provider_reference"])
    webhook = simulator.webhook(payment["provider_reference"])
    running.call("POST", "/v1/webhooks/payos", webhook)
    running.wait_for(payment["payment_id"], "paid")

    doctor = running.command("doctor")
    listed = json.loads(running.command("webhooks", "list", "--json").stdout)
    replayed = running.command("webhooks", "replay", listed[0]["id"])
    timeline = running.command("timeline", payment["payment_id"])
    reconciled = running.command("reconcile", payment["payment_id"])
    missing = running.command("timeline", "pay_" + "0" * 26)

    assert doctor.returncode == 0, doctor.stdout
    assert [webhook["status"] for webhook in listed] == ["applied"]
    assert replayed.returncode == reconciled.returncode == 0, reconciled.stderr
    assert "payment.paid" in timeline.stdout
    assert missing.returncode == 1
    assert running.command("audit").returncode == 0
    assert running.call("GET", f"/v1/payments/{payment['payment_id']}").json()["version"] == 2
