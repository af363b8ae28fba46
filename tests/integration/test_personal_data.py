"""What is known about payers: sealed in the database, masked outside, and not kept for ever."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from payment_service.domain.audit import Actor, ActorKind
from payment_service.domain.errors import InvalidStateTransition
from payment_service.storage.sealing import new_key
from payment_service.storage.webhooks import PAYLOAD_KEPT
from payment_service.use_cases.replay_webhook import replay_webhook
from payos_simulator import signatures
from tests.support.service import DATA_KEYS, Harness, environment, running_service
from tests.support.simulator import PAYMENT, Simulator

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

ACCOUNT, NAME, LATER_ACCOUNT = "0777123456789", "NGUYEN THI CANARY", "0888987654321"


async def pay_and_refund(service: Harness, simulator: Simulator) -> str:
    """Make people's data pass through everything; return the payment's id."""
    payment = await service.create()
    order = payment["provider_reference"]
    simulator.pay(order, counter_account=ACCOUNT, counter_name=NAME)
    await service.deliver(simulator.webhook(order))
    for amount, destination in (
        (1000, {"type": "source"}),
        (2000, {"type": "bank_account", "bank_bin": "970422", "account_number": LATER_ACCOUNT,
                "account_name": NAME}),
    ):  # fmt: skip
        response = await service.request(
            "POST", f"/v1/payments/{payment['payment_id']}/refunds",
            {"amount": amount, "reason": "other", "destination": destination},
        )  # fmt: skip
        assert response.status_code == 201, response.text
    await service.settle()
    return str(payment["payment_id"])


async def test_people_are_in_no_table_log_message_or_answer(
    service: Harness, simulator: Simulator, database_url: str, capfd: Any
) -> None:
    payment_id = await pay_and_refund(service, simulator)

    answers = [
        (await service.request("GET", f"/v1/payments/{payment_id}{path}")).text
        for path in ("", "/refunds", "/timeline")
    ]

    folder = Path(database_url.removeprefix("sqlite+aiosqlite:///")).parent
    stored = b"".join(path.read_bytes() for path in folder.glob("payments.db*"))
    told = json.dumps([message.value.decode() for message in service.published.published])
    written = "".join(capfd.readouterr())
    for secret in (ACCOUNT, LATER_ACCOUNT, NAME):
        assert secret.encode() not in stored
        assert secret not in told
        assert secret not in written
        assert secret not in "".join(answers)
    assert ACCOUNT[-4:] in answers[1]


async def test_the_payer_is_paid_back_to_the_account_that_was_sealed(
    service: Harness, simulator: Simulator
) -> None:
    await pay_and_refund(service, simulator)

    payouts = simulator.ledger()["payouts"]
    accounts = {payout["to_account"] for payout in payouts.values()}
    assert {ACCOUNT, LATER_ACCOUNT} <= accounts


async def test_a_restart_with_another_first_key_reads_what_the_old_one_sealed(
    service: Harness, simulator: Simulator, database_url: str
) -> None:
    payment_id = await pay_and_refund(service, simulator)
    rotated = {**simulator.environment, "PAYMENTS_DATA_KEYS": f"{new_key()},{DATA_KEYS}"}

    async with running_service(environment(database_url, rotated)) as restarted:
        refunds = await restarted.request("GET", f"/v1/payments/{payment_id}/refunds")

    ends = {each["destination"]["account_number_suffix"] for each in refunds.json()["data"]}
    assert ends == {ACCOUNT[-4:], LATER_ACCOUNT[-4:]}


async def rewrite(service: Harness, statement: str) -> None:
    """Do what only somebody with the database's password can."""
    async with service.service.database.engine.begin() as connection:
        await connection.exec_driver_sql(statement)


async def test_who_writes_to_the_database_cannot_pay_a_refund_out_to_another_account(
    service: Harness, simulator: Simulator
) -> None:
    payment_id = await pay_and_refund(service, simulator)
    simulator.modes(wallet=0)  # nothing is paid out yet
    for amount, account in ((500, ACCOUNT), (600, LATER_ACCOUNT)):
        destination = {"type": "bank_account", "bank_bin": "970422", "account_number": account}
        await service.request(
            "POST", f"/v1/payments/{payment_id}/refunds",
            {"amount": amount, "reason": "other", "destination": destination},
        )  # fmt: skip
    await rewrite(
        service,
        "UPDATE refunds SET account_number = (SELECT account_number FROM refunds AS another"
        " WHERE another.amount = 600) WHERE amount = 500",
    )

    simulator.modes(wallet=10**13)
    for _ in range(3):
        await service.advance(3600)

    refunds = (await service.request("GET", f"/v1/payments/{payment_id}/refunds")).json()["data"]
    seen = {
        each["amount"]: (each["status"], each["destination"]["account_number_suffix"])
        for each in refunds
    }
    assert seen[500] == ("pending", "***")
    assert seen[600] == ("succeeded", LATER_ACCOUNT[-4:])


async def test_a_lost_key_hides_what_it_sealed_and_stops_nothing_else(
    service: Harness, simulator: Simulator, database_url: str
) -> None:
    payment_id = await pay_and_refund(service, simulator)
    without = {**simulator.environment, "PAYMENTS_DATA_KEYS": new_key()}

    async with running_service(environment(database_url, without)) as restarted:
        refunds = await restarted.request("GET", f"/v1/payments/{payment_id}/refunds")
        destination = {"type": "bank_account", "bank_bin": "970422", "account_number": ACCOUNT}
        added = await restarted.request(
            "POST", f"/v1/payments/{payment_id}/refunds",
            {"amount": 700, "reason": "other", "destination": destination},
        )  # fmt: skip
        for _ in range(3):
            await restarted.advance(3600)
        path = f"/v1/payments/{payment_id}/refunds/{added.json()['refund_id']}"
        paid_out = (await restarted.request("GET", path)).json()

    assert {each["destination"]["account_number_suffix"] for each in refunds.json()["data"]} == {
        "***"
    }
    assert paid_out["status"] == "succeeded"


async def payloads(service: Harness) -> dict[str, bytes]:
    async with service.service.database.engine.connect() as connection:
        rows = await connection.exec_driver_sql("SELECT id, payload FROM webhook_events")
        return {row.id: row.payload for row in rows}


async def test_payloads_go_after_their_time_and_what_waits_for_somebody_keeps_its_own(
    service: Harness, simulator: Simulator
) -> None:
    payment = await service.create()
    simulator.pay(payment["provider_reference"])
    webhook = simulator.webhook(payment["provider_reference"])
    await service.deliver(webhook)
    [applied] = await payloads(service)
    odd = webhook["data"] | {"code": "99", "reference": "FT-ODD"}
    dead = await service.deliver(
        {"data": odd, "signature": signatures.of_data(odd, PAYMENT.checksum_key)}
    )
    assert dead.status_code == 200

    await service.advance((PAYLOAD_KEPT - timedelta(hours=1)).total_seconds())
    before = await payloads(service)
    await service.advance(timedelta(hours=2).total_seconds())
    after = await payloads(service)

    assert all(before.values())
    assert [name for name, payload in after.items() if not payload] == [applied]
    with pytest.raises(InvalidStateTransition, match="not kept"):
        await replay_webhook(
            service.service.database, service.clock, applied, actor=Actor(ActorKind.OPERATOR, "me")
        )
    again = await service.deliver(webhook)
    assert again.status_code == 200
    assert len(await payloads(service)) == 2
