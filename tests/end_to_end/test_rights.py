"""The service runs with the rights that docs/database.md gives it, and with no others."""

import re
import secrets
from pathlib import Path
from typing import Any

import pytest

from tests.support.deployment import deployment
from tests.support.process import wait_until
from tests.support.service import DATA_KEYS
from tests.support.simulator import Simulator

DOCUMENT = Path(__file__).parents[2] / "docs" / "database.md"
pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.xdist_group("stack")]


def test_documented_rights_are_enough_and_protect_what_is_append_only(
    tmp_path: Path, mysql_server: Any, kafka_server: Any, simulator: Simulator
) -> None:
    name, user = f"test_{secrets.token_hex(8)}", f"app_{secrets.token_hex(6)}"
    owner_url = mysql_server.create_database(name)
    broker = f"kafka://127.0.0.1:{kafka_server.port}"
    grants = re.findall(r"^GRANT (.+) ON payments\.(\w+) TO 'payments_app'", DOCUMENT.read_text(),
                        re.MULTILINE)  # fmt: skip
    assert len(grants) == 12

    with deployment(
        tmp_path, database_url=owner_url, broker_url=broker, simulator=simulator
    ) as running:
        mysql_server.query(f"CREATE USER '{user}'@'127.0.0.1' IDENTIFIED BY 'secret'")
        for rights, table in grants:
            mysql_server.query(f"GRANT {rights} ON {name}.{table} TO '{user}'@'127.0.0.1'")
        running.environ["PAYMENTS_DATABASE_URL"] = mysql_server.url(user, "secret", name)
        running.start("api", "relay", "consumer", "scheduler")
        doctor = running.command("doctor")
        payment = running.create(100)
        simulator.pay(payment["provider_reference"])
        webhook = simulator.webhook(payment["provider_reference"])
        running.call("POST", "/v1/webhooks/payos", webhook)
        running.wait_for(payment["payment_id"], "paid")
        refund = {"amount": 40, "reason": "other", "destination": {"type": "source"}}
        path = f"/v1/payments/{payment['payment_id']}/refunds"
        assert running.call("POST", path, refund).status_code == 201
        running.wait_for(payment["payment_id"], "partially_refunded")
        cancelled = running.create(100)
        cancel = f"/v1/payments/{cancelled['payment_id']}/cancel"
        assert running.call("POST", cancel).status_code == 200
        simulator.pay(cancelled["provider_reference"])
        running.call(
            "POST", "/v1/webhooks/payos", simulator.webhook(cancelled["provider_reference"])
        )
        late = f"/v1/exceptions?payment_id={cancelled['payment_id']}"
        (exception,) = wait_until(lambda: running.call("GET", late).json()["data"], what="late")
        fresh = running.create(100, cancelled["order_reference"])
        resolve = f"/v1/exceptions/{exception['exception_id']}/resolve"
        decision = {"action": "apply", "payment_id": fresh["payment_id"], "reason": "in stock"}
        assert running.call("POST", resolve, decision).status_code == 200
        assert running.wait_for(fresh["payment_id"], "paid")
        [asked] = re.findall(
            r"^-- keys in use\n(.+?;)$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL
        )
        keys_in_use = mysql_server.query(asked.replace("payments.", f"{name}."))
        # A coordinator of Kafka's that is not there yet says nothing of rights.
        errors = [
            line
            for role in running.roles
            for line in role.logs()
            if line["level"] == "error" and not line["logger"].startswith("aiokafka")
        ]

    assert errors == []
    [(key, count)] = keys_in_use
    assert (key, int(count) > 3) == (DATA_KEYS.partition(":")[0], True)
    assert doctor.returncode == 0, doctor.stdout
    assert "append-only" not in doctor.stdout
    mysql_server.query(f"DROP USER '{user}'@'127.0.0.1'")
    mysql_server.drop_database(name)
