"""What support and operators ask: where is my order, and compare it with the provider now."""

from datetime import timedelta
from typing import Any

import pytest

from tests.support.commands import Commands
from tests.support.service import Harness
from tests.support.simulator import Simulator

ACCOUNT = {"type": "bank_account", "bank_bin": "970422", "account_number": "0123456789"}


@pytest.fixture
def commands(service: Harness, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(service.service, capsys)


async def pay(service: Harness, simulator: Simulator, order_code: str, **more: Any) -> str:
    """Transfer money, and tell of it; return the bank's reference."""
    (reference,) = simulator.pay(order_code, **more)
    await service.deliver(simulator.webhook(order_code))
    return reference


async def test_timeline_answers_from_whatever_a_payer_or_a_merchant_can_tell(
    service: Harness, simulator: Simulator, commands: Commands
) -> None:
    payment = await service.create(45_000, order_reference="order-known")
    await service.create(order_reference="order-other")
    reference = await pay(service, simulator, payment["provider_reference"])

    for question in (
        [payment["payment_id"]],
        ["--order", "order-known"],
        ["--reference", payment["provider_reference"]],
        ["--reference", reference],
    ):
        found = await commands.json("timeline", *question)
        assert [entry["payment"]["payment_id"] for entry in found] == [payment["payment_id"]]


async def test_timeline_tells_of_all_payments_of_an_order(
    service: Harness, simulator: Simulator, commands: Commands
) -> None:
    first = await service.create(order_reference="order-twice")
    await service.request("POST", f"/v1/payments/{first['payment_id']}/cancel")
    second = await service.create(order_reference="order-twice")

    found = await commands.json("timeline", "--order", "order-twice")

    told = [(entry["payment"]["payment_id"], entry["payment"]["status"]) for entry in found]
    assert told == [(first["payment_id"], "failed"), (second["payment_id"], "pending")]


async def test_timeline_tells_money_links_refunds_questions_and_every_change(
    service: Harness, simulator: Simulator, commands: Commands
) -> None:
    payment = await service.create(45_000)
    await pay(service, simulator, payment["provider_reference"])
    reference = await pay(service, simulator, payment["provider_reference"], amount=7_000)
    body = {"amount": 5_000, "reason": "other", "destination": ACCOUNT}
    path = f"/v1/payments/{payment['payment_id']}/refunds"
    refund = (await service.request("POST", path, body)).json()
    await service.settle()
    await service.advance(60)

    (entry,) = await commands.json("timeline", payment["payment_id"])
    await commands("timeline", payment["payment_id"])

    assert [receipt["amount"] for receipt in entry["receipts"]] == [45_000, 7_000]
    assert entry["receipts"][1]["bank_reference"] == reference
    assert [link["order_code"] for link in entry["links"]] == [int(payment["provider_reference"])]
    assert [(each["refund_id"], each["status"]) for each in entry["refunds"]] == [
        (refund["refund_id"], "succeeded")
    ]
    assert [(each["code"], each["amount"]) for each in entry["exceptions"]] == [
        ("duplicate_transfer", 7_000)
    ]
    assert [change["action"] for change in entry["changes"]] == [
        "payment.created", "payment.paid", "payment.exception", "refund.created",
        "refund.succeeded", "payment.partially_refunded",
    ]  # fmt: skip
    assert [change["version"] for change in entry["changes"]] == [1, 2, 3, 4, 5, 6]
    actors = [change["actor"].split(":")[0] for change in entry["changes"]]
    assert actors == ["client", "webhook", "webhook", "client", "job", "job"]
    answer = "was paid at", "5,000 VND went back", reference, "duplicate_transfer 7,000"
    for told in (*answer, "payment.partially_refunded", "by client:tester", refund["refund_id"]):
        assert told in commands.printed


async def test_timeline_shows_only_the_end_of_account_numbers_and_no_names(
    service: Harness, simulator: Simulator, commands: Commands
) -> None:
    payment = await service.create(45_000)
    personal = {"counter_account": "0099887766", "counter_name": "TRAN THI CANARY"}
    await pay(service, simulator, payment["provider_reference"], **personal)
    body = {"amount": 5_000, "reason": "other", "destination": {"type": "source"}}
    await service.request("POST", f"/v1/payments/{payment['payment_id']}/refunds", body)

    for form in ((), ("--json",)):
        await commands("timeline", payment["payment_id"], *form)
        assert "***7766" in commands.printed
        assert "0099887766" not in commands.printed
        assert "CANARY" not in commands.printed


async def test_timeline_names_money_that_has_no_payment_and_webhooks_that_wait(
    service: Harness, simulator: Simulator, commands: Commands
) -> None:
    lost = await service.create()
    async with service.service.database.engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE payment_attempts SET order_code = order_code + 1")
    reference = await pay(service, simulator, lost["provider_reference"])
    other = await service.create()
    async with service.service.database.engine.begin() as connection:
        await connection.exec_driver_sql(
            "UPDATE payment_attempts SET provider_reference = 'another'"
            f" WHERE payment_id = '{other['payment_id']}'"
        )
    await pay(service, simulator, other["provider_reference"])

    unmatched = await commands("timeline", "--reference", reference)
    told_unmatched = commands.printed
    (entry,) = await commands.json("timeline", other["payment_id"])

    assert unmatched == 0
    assert "Money without a payment of ours" in told_unmatched
    assert reference in told_unmatched
    assert [(webhook["status"], webhook["reason"]) for webhook in entry["webhooks"]] == [
        ("dead", "the link is not the one of the order code")
    ]


async def test_timeline_tells_who_replayed_a_webhook(
    service: Harness, simulator: Simulator, commands: Commands
) -> None:
    payment = await service.create()
    await pay(service, simulator, payment["provider_reference"])
    webhook_id = (await commands.json("webhooks", "list"))[0]["id"]
    await commands("webhooks", "replay", webhook_id, "--actor", "binh", "--note", "asked by shop")
    await service.settle()

    (entry,) = await commands.json("timeline", payment["payment_id"])

    assert [(each["webhook_id"], each["actor"], each["reason"]) for each in entry["replays"]] == [
        (webhook_id, "operator:binh", "asked by shop")
    ]
    assert [change["version"] for change in entry["changes"]] == [1, 2]


async def test_timeline_of_what_is_not_there_finds_something_wrong(commands: Commands) -> None:
    assert await commands("timeline", "--order", "none") == 1
    assert await commands("timeline", "--reference", "9" * 40) == 1
    assert await commands("timeline") == 2
    assert await commands("timeline", "pay_1", "--order", "x") == 2


async def test_reconcile_compares_all_that_is_due_and_leaves_the_operators_name(
    service: Harness, simulator: Simulator, commands: Commands
) -> None:
    made = [await service.create() for _ in range(5)]
    for payment in made[:3]:
        simulator.pay(payment["provider_reference"])
    early = await commands("reconcile", "--per-minute", "60000")
    told_early = commands.printed
    await let_pass(service, 31)

    some = await commands.json("reconcile", "--limit", "2", "--per-minute", "60000")
    rest = await commands("reconcile", "--per-minute", "60000", "--actor", "chi")

    assert (early, told_early) == (0, "0 payments were compared with the provider\n")
    assert [entry["outcome"] for entry in some] == ["compared"] * 2
    assert (rest, commands.printed) == (0, "3 payments were compared with the provider\n")
    statuses = [(await service.get(each["payment_id"]))["status"] for each in made]
    assert statuses == ["paid"] * 3 + ["pending"] * 2
    (entry,) = await commands.json("timeline", made[2]["payment_id"])
    assert entry["changes"][-1]["actor"] == "operator:chi"


async def test_reconcile_goes_on_when_the_provider_fails_and_says_so(
    service: Harness, simulator: Simulator, commands: Commands
) -> None:
    made = [await service.create() for _ in range(2)]
    await let_pass(service, 31)
    simulator.fault("code", path="/v2/payment-requests/[0-9]+", code="101")

    answers = await commands.json("reconcile", "--per-minute", "60000")
    await let_pass(service, 3600)
    again = await commands("reconcile", made[0]["payment_id"])

    assert sorted(entry["outcome"].split(":")[0] for entry in answers) == [
        "compared", "not compared",
    ]  # fmt: skip
    assert again == 0
    assert (await service.get(made[0]["payment_id"]))["status"] == "expired"


async def let_pass(service: Harness, seconds: float) -> None:
    """Let time pass without anybody working."""
    service.clock.advance(timedelta(seconds=seconds))
