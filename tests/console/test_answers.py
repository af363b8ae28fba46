"""What the console shows is what is on record; the one thing that it changes leaves a name."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from payment_service.storage.webhooks import Wanted, list_webhooks
from tests.console.conftest import NAME, Console
from tests.support.commands import Commands
from tests.support.odd_money import ACCOUNT
from tests.support.simulator import Simulator

SECRETS = ("0099887766", "TRAN THI CANARY")


async def search(operator: httpx.AsyncClient, text: str) -> dict[str, Any]:
    answer = await operator.get("/console/payments", params={"text": text})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def found(operator: httpx.AsyncClient, text: str) -> list[str]:
    histories = (await search(operator, text))["histories"]
    return [history["payment"]["payment_id"] for history in histories]


async def test_a_payment_is_found_by_whatever_a_person_can_tell(
    console: Console, operator: httpx.AsyncClient, simulator: Simulator
) -> None:
    payment = await console.desk.paid(70, 60, order_reference="order-4711")
    path = f"/v1/payments/{payment['payment_id']}/refunds"
    body = {"amount": 40, "reason": "other", "destination": ACCOUNT}
    refund = (await console.service.request("POST", path, body)).json()
    await console.service.settle()
    exception = await console.desk.exception(payment)
    webhook = (await operator.get("/console/webhooks")).json()["webhooks"]
    history = (await search(operator, payment["payment_id"]))["histories"][0]
    names = [
        payment["payment_id"], "order-4711", payment["provider_reference"], refund["refund_id"],
        history["links"][0]["provider_reference"],
        f"{refund['refund_id']}-1", exception["exception_id"],
        str(history["links"][0]["order_code"]), history["receipts"][0]["bank_reference"],
        history["receipts"][0]["receipt_id"], f"  {payment['payment_id']} ",
    ]  # fmt: skip

    assert webhook == []
    assert {name: await found(operator, name) for name in names} == {
        name: [payment["payment_id"]] for name in names
    }
    assert await found(operator, "order-4712") == []
    assert (
        await found(operator, f"pay_{'0' * 26}") == await found(operator, f"att_{'0' * 26}") == []
    )


async def test_an_order_has_all_its_payments_and_each_is_shown_once(
    console: Console, operator: httpx.AsyncClient
) -> None:
    first = await console.desk.expired(order_reference="order-1")
    second = await console.desk.paid(100, order_reference="order-1")

    assert await found(operator, "order-1") == [first["payment_id"], second["payment_id"]]


async def test_money_without_a_payment_is_found_by_its_bank_reference(
    console: Console, operator: httpx.AsyncClient
) -> None:
    await console.desk.unmatched()
    cases = (await operator.get("/console/exceptions")).json()["exceptions"]

    answer = await search(operator, cases[0]["bank_reference"])

    assert answer["histories"] == []
    assert [receipt["receipt_id"] for receipt in answer["unmatched"]] == [cases[0]["receipt_id"]]


async def test_the_console_shows_what_the_command_line_shows(
    console: Console, operator: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = Commands(console.service.service, capsys)
    payment = await console.desk.paid(130)
    letter = await console.dead_letter()

    history = (await search(operator, payment["payment_id"]))["histories"][0]
    shown = (await operator.get(f"/console/webhooks/{letter}")).json()["webhook"]
    cases = (await operator.get("/console/exceptions")).json()["exceptions"]

    def same_instants(value: Any) -> Any:
        """Python writes +00:00 where JSON has Z."""
        if isinstance(value, dict):
            return {name: same_instants(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [same_instants(inner) for inner in value]
        return value.replace("+00:00", "Z") if isinstance(value, str) else value

    assert history.pop("answer").startswith("was paid at ")
    assert [history] == same_instants(await commands.json("timeline", payment["payment_id"]))
    assert [shown] == same_instants(await commands.json("webhooks", "show", letter))
    assert cases == same_instants(await commands.json("exceptions", "list"))


async def test_people_are_masked(console: Console, operator: httpx.AsyncClient) -> None:
    payment = await console.service.create(100)
    await console.desk.pay(payment, 130, counter_account=SECRETS[0], counter_name=SECRETS[1])
    told = {"counterAccountNumber": SECRETS[0], "counterAccountName": SECRETS[1]}
    letter = await console.dead_letter(**told, description=f"{SECRETS[1]} pays")
    paths = ("overview", "exceptions", "webhooks", f"webhooks/{letter}",
             f"payments?text={payment['payment_id']}")  # fmt: skip

    answers = [(await operator.get(f"/console/{path}")).text for path in paths]

    assert "***7766" in answers[-1]
    assert not [secret for secret in SECRETS for answer in answers if secret in answer]


async def test_a_replay_is_done_once_and_leaves_a_name_and_a_reason(
    console: Console, operator: httpx.AsyncClient
) -> None:
    letter = await console.dead_letter()

    answer = await operator.post(
        f"/console/webhooks/{letter}/replay", json={"note": " the link was mended "}
    )
    await console.service.settle()

    shown = (await operator.get(f"/console/webhooks/{letter}")).json()["webhook"]
    assert answer.json() == {"outcome": "will be applied again"}
    assert [(entry["actor"], entry["reason"]) for entry in shown["replays"]] == [
        (f"operator:{NAME}", "the link was mended")
    ]
    assert shown["status"] == "dead", "nothing was mended: it is given up again"


async def test_what_cannot_be_replayed_is_told_and_stays(
    console: Console, operator: httpx.AsyncClient, simulator: Simulator
) -> None:
    payment = await console.desk.paid(100)
    forged = simulator.webhook(payment["provider_reference"]) | {"signature": "0" * 64}
    await console.service.deliver(forged)
    listed = await console.service.service.database.read(all_webhooks)
    (rejected,) = [row for row, status in listed if status == "rejected"]

    evidence = await operator.post(f"/console/webhooks/{rejected}/replay", json={"note": "x"})
    nothing = await operator.post(f"/console/webhooks/whk_{'0' * 26}/replay", json={"note": "x"})

    assert (evidence.status_code, nothing.status_code) == (409, 404)
    assert evidence.json() == {"error": "A webhook with a wrong signature is never applied."}


async def all_webhooks(session: Any) -> list[tuple[str, str]]:
    return [(row.id, row.status) for row in await list_webhooks(session, Wanted(), limit=50)]


async def test_the_overview_counts_what_waits_and_what_is_due(
    console: Console, operator: httpx.AsyncClient
) -> None:
    before = (await operator.get("/console/overview")).json()
    await console.desk.paid(130)
    await console.dead_letter()
    await console.service.create(expires_in_seconds=900)  # told of, but not published
    after = (await operator.get("/console/overview")).json()

    assert {before[name]["count"] for name in ("outbox", "refused", "dead", "exceptions")} == {0}
    assert (after["outbox"]["count"], after["refused"]["count"]) == (1, 0)
    assert (after["dead"]["count"], after["exceptions"]["count"]) == (1, 1)
    assert after["outbox"]["since"] <= after["now"]
    assert after["process"]["roles"] == ["api", "consumer", "relay", "scheduler"]
    assert {breaker["state"] for breaker in after["breakers"]} == {"closed"}
    assert {job["name"] for job in after["jobs"]} >= {"refunds", "overdue", "webhooks"}
    assert [place["topic"] for place in after["lag"]] == ["payments.webhooks.v1"]


async def test_breakers_that_are_open_and_jobs_that_are_due_are_shown(
    console: Console, operator: httpx.AsyncClient, simulator: Simulator
) -> None:
    payment = await console.service.create(expires_in_seconds=900)
    console.service.service.metrics.provider_circuits.labels("create").set(2)
    simulator.fault("status", path="/v2/payment-requests/.*", times=1000)
    console.service.clock.advance(timedelta(seconds=901))

    overview = (await operator.get("/console/overview")).json()

    simulator.clear_faults()
    assert payment["status"] == "pending"
    assert {"operation": "create", "state": "open"} in overview["breakers"]
    assert {job["name"]: job["due"] for job in overview["jobs"]}["overdue"] == 1
    assert overview["unlooked_at"] is not None
