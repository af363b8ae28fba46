"""A fault in a running deployment is on somebody's pager, and off it once it is repaired.

As the runbook says: look, repair, replay; with the real commands.
"""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.observability.watchmen import watching
from tests.support.deployment import Deployment, deployment
from tests.support.process import wait_until
from tests.support.simulator import Simulator

pytestmark = [
    pytest.mark.stack, pytest.mark.slow, pytest.mark.xdist_group("stack"), pytest.mark.timeout(400)
]  # fmt: skip
NOTICE_SECONDS = 60


@pytest.fixture
def database(mysql_server: Any) -> Iterator[str]:
    name = f"test_{secrets.token_hex(8)}"
    yield name
    mysql_server.drop_database(name)


@pytest.fixture
def running(
    tmp_path: Path, database: str, mysql_server: Any, kafka_server: Any, simulator: Simulator
) -> Iterator[Deployment]:
    with deployment(
        tmp_path,
        database_url=mysql_server.create_database(database),
        broker_url=f"kafka://127.0.0.1:{kafka_server.port}",
        simulator=simulator,
    ) as made:
        made.start("api", "relay", "consumer", "scheduler")
        yield made


def test_faults_page_somebody_and_are_over_when_repaired(
    running: Deployment, database: str, mysql_server: Any, simulator: Simulator, tmp_path: Path
) -> None:
    with watching(tmp_path, running.roles) as (pager, prometheus):

        def up() -> bool:
            answer = httpx.get(f"{prometheus}/api/v1/query", params={"query": "sum(up)"},
                               timeout=5, trust_env=False)  # fmt: skip
            found = answer.json()["data"]["result"]
            return bool(found) and float(found[0]["value"][1]) == len(running.roles)

        def hears(alert: str, status: str) -> dict[str, Any]:
            what = f"{alert} is {status}: {pager.told}"
            return dict(
                wait_until(lambda: pager.heard(alert, status), seconds=NOTICE_SECONDS, what=what)
            )

        wait_until(up, seconds=NOTICE_SECONDS, what="all processes are scraped")
        payment = running.create(45_000)
        misname = f"UPDATE {database}.payment_attempts SET provider_reference = '%s' WHERE payment_id = '{payment['payment_id']}'"  # noqa: E501
        (link,) = mysql_server.query(
            f"SELECT provider_reference FROM {database}.payment_attempts"
            f" WHERE payment_id = '{payment['payment_id']}'"
        )
        mysql_server.query(misname % "somebody-else")
        simulator.pay(payment["provider_reference"])
        webhook = simulator.webhook(payment["provider_reference"])
        assert running.call("POST", "/v1/webhooks/payos", webhook).status_code == 200

        fired = hears("WebhooksDead", "firing")
        (dead,) = json.loads(running.command("dlq", "list", "--json").stdout)
        mysql_server.query(misname % link[0])
        assert running.command("dlq", "replay", dead["id"]).returncode == 0
        hears("WebhooksDead", "resolved")
        running.wait_for(payment["payment_id"], "paid")

        relay = next(role for role in running.roles if role.name == "relay")
        relay.kill()
        down = hears("TargetDown", "firing")
        relay.restart()
        hears("TargetDown", "resolved")

    assert dead["reason"] == "the link is not the one of the order code"
    assert fired["receiver"] == "ticket"
    assert fired["annotations"]["runbook"] == "docs/runbook.md#webhooksdead"
    assert fired["annotations"]["summary"].endswith("wait for a decision: 1")
    assert (down["receiver"], down["labels"]["role"]) == ("page", "relay")
