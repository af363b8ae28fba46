"""payOS changes the form of its webhooks, before we know of it or after: the money is counted.

payOS gives no version and no warning. So the form tells the version; what came too early is set
aside, whole, and applied by a replay once there is a reader.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from payment_service.domain.ids import new_id
from payment_service.providers.payos import signature, webhooks
from payment_service.storage import webhooks as stored
from tests.support.commands import Commands
from tests.support.service import Harness
from tests.support.simulator import PAYMENT, Simulator


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """What a form means does not depend on the database."""
    return f"sqlite+aiosqlite:///{tmp_path}/payments.db"


def in_form(webhook: dict[str, Any], time: str) -> dict[str, Any]:
    """Write a webhook with its time in another form, signed by payOS."""
    data = webhook["data"] | {"transactionDateTime": time}
    return webhook | {"data": data, "signature": signature.sign_data(data, PAYMENT.checksum_key)}


async def versions(service: Harness) -> list[tuple[str, str]]:
    async with service.service.database.engine.connect() as connection:
        rows = await connection.exec_driver_sql(
            "SELECT schema_version, status FROM webhook_events ORDER BY id"
        )
        return [tuple(row) for row in rows]


async def test_payos_changes_the_form_while_payments_are_open(
    service: Harness, simulator: Simulator
) -> None:
    before, after = await service.create(100), await service.create(100)
    simulator.pay(before["provider_reference"])
    await service.deliver(simulator.webhook(before["provider_reference"]))
    simulator.modes(webhook_iso_times=True)
    simulator.pay(after["provider_reference"])
    await service.deliver(simulator.webhook(after["provider_reference"]))

    assert (await service.get(before["payment_id"]))["status"] == "paid"
    assert (await service.get(after["payment_id"]))["status"] == "paid"
    assert await versions(service) == [("v1", "applied"), ("v2", "applied")]


async def test_transfer_that_is_told_in_both_forms_counts_once(
    service: Harness, simulator: Simulator
) -> None:
    payment = await service.create(100)
    simulator.pay(payment["provider_reference"])
    first = simulator.webhook(payment["provider_reference"])
    time = first["data"]["transactionDateTime"].replace(" ", "T")
    for webhook in (first, in_form(first, f"{time}+07:00"), in_form(first, f"{time}.250+07:00")):
        assert (await service.deliver(webhook)).status_code == 200

    seen = await service.get(payment["payment_id"])
    assert (seen["status"], seen["amounts"]["received"], seen["version"]) == ("paid", 100, 2)
    assert await versions(service) == [("v1", "applied")]  # one event, whichever form


async def test_form_that_came_before_its_reader_is_repaired_by_a_replay(
    service: Harness, simulator: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """An earlier release took the new form for version 1, could not read it, and set it aside."""
    payment = await service.create(100)
    simulator.modes(webhook_iso_times=True)
    simulator.pay(payment["provider_reference"])
    webhook = simulator.webhook(payment["provider_reference"])
    webhook_id = new_id("whk", service.clock())
    dead = stored.NewWebhook(
        id=webhook_id, provider="payos", event_id="of an earlier release", schema_version="v1",
        payload=json.dumps(webhook).encode(), status=stored.DEAD, received_at=service.clock(),
        next_check_at=None, reason="unreadable: not the shape of payos/v1",
    )  # fmt: skip
    await service.service.database.transact("test", lambda session: stored.add(session, dead))

    commands = Commands(service.service, capsys)
    code = await commands("dlq", "replay", "--all", "--reason", "unreadable", "--note", "v2 is out")
    await service.settle()
    paid = await service.get(payment["payment_id"])
    await service.deliver(webhook)  # payOS insists, and this release names the event by another id
    again = await service.get(payment["payment_id"])

    assert code == 0
    assert paid["status"] == "paid"
    assert again["amounts"] == paid["amounts"]
    assert again["version"] == paid["version"] == 2
    assert await versions(service) == [("v1", "applied"), ("v2", "applied")]


@pytest.mark.parametrize(
    ("time", "version"),
    [
        ("2026-11-24 10:15:30", "v1"),
        ("2026-11-24T10:15:30+07:00", "v2"),
        ("2026-11-24T03:15:30Z", "v2"),
        ("2026-11-24T99:99:99Z", "v2"),
        ("24/11/2026", "v1"),
        (None, "v1"),
        (1764000000, "v1"),
    ],
)
def test_form_of_the_time_names_the_version(time: Any, version: str) -> None:
    data = {"orderCode": 1, "transactionDateTime": time}
    body = json.dumps({"data": data, "signature": signature.sign_data(data, "key")}).encode()

    assert webhooks.verify(body, ("key",)).schema_version == version
