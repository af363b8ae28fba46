"""Who sees and decides exceptions: one tenant, one scope, one key, in order; and operators."""

import asyncio
import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from payment_service import cli
from payment_service.domain.errors import (
    ExceptionActionNotAllowed,
    ExceptionTargetNotAllowed,
    NotFound,
)
from payment_service.storage import exceptions
from tests.support.odd_money import FOREIGN_LINK, PRICE, OddMoney
from tests.support.service import environment, token
from tests.support.simulator import Simulator


async def test_another_tenants_exception_does_not_exist(desk: OddMoney) -> None:
    payment = await desk.expired(late=PRICE)
    exception = await desk.exception(payment)
    path = f"/v1/exceptions/{exception['exception_id']}"

    read = await desk.service.request("GET", path, tenant="other")
    listed = await desk.service.request("GET", "/v1/exceptions", tenant="other")
    decided = await desk.resolve(exception, "keep", tenant="other")

    assert (read.status_code, decided.status_code) == (404, 404)
    assert listed.json() == {"data": [], "next_cursor": None}
    foreign = await desk.service.request("POST", "/v1/payments", {
        "amount": PRICE, "currency": "VND", "order_reference": payment["order_reference"],
        "return_url": "https://shop.example/t", "cancel_url": "https://shop.example/c",
    }, tenant="other")  # fmt: skip
    moved = await desk.resolve(exception, "apply", payment_id=foreign.json()["payment_id"])
    assert (moved.status_code, moved.json()["code"]) == (404, "NOT_FOUND")
    assert (await desk.exception(payment))["status"] == "open"


async def test_resolving_asks_for_a_scope_of_its_own(desk: OddMoney) -> None:
    exception = await desk.exception(await desk.expired(late=PRICE))
    weak = token(scope="payments:read payments:write refunds:write")

    response = await desk.resolve(exception, "keep", headers={"Authorization": f"Bearer {weak}"})

    assert (response.status_code, response.json()["code"]) == (403, "FORBIDDEN")


async def test_the_same_key_decides_once_and_repeats_the_answer(desk: OddMoney) -> None:
    exception = await desk.exception(await desk.expired(late=PRICE))

    first = await desk.resolve(exception, "refund", key="decide-once")
    again = await desk.resolve(exception, "refund", key="decide-once")
    other = await desk.resolve(exception, "keep", key="decide-once")

    assert first.content == again.content
    assert again.headers["idempotent-replayed"] == "true"
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")


async def test_queue_is_listed_oldest_first_by_what_one_looks_for(desk: OddMoney) -> None:
    late = [await desk.expired(late=PRICE) for _ in range(3)]
    over = await desk.paid(130, order_reference="order-over")
    await desk.resolve(await desk.exception(late[0]), "keep")

    async def listed(query: str) -> list[str]:
        page = (await desk.service.request("GET", f"/v1/exceptions?{query}")).json()
        found = [each["payment_id"] for each in page["data"]]
        if page["next_cursor"] is None:
            return found
        following = f"{query.split('&cursor', maxsplit=1)[0]}&cursor={page['next_cursor']}"
        return found + await listed(following)

    everything = [each["payment_id"] for each in (*late, over)]
    assert await listed("limit=2") == everything
    assert await listed("status=open&limit=1") == everything[1:]
    assert await listed("status=resolved") == everything[:1]
    assert await listed("code=overpaid") == await listed("order_reference=order-over")
    assert await listed("order_reference=order-over") == everything[3:]
    page = (await desk.service.request("GET", "/v1/exceptions?limit=1")).json()
    mixed = f"/v1/exceptions?status=open&cursor={page['next_cursor']}"
    refused = await desk.service.request("GET", mixed)
    assert (refused.status_code, refused.json()["code"]) == (400, "INVALID_CURSOR")


async def command(
    desk: OddMoney, capsys: pytest.CaptureFixture[str], *arguments: str
) -> list[dict[str, Any]]:
    """Run a command of the operators in this process; return what it tells."""
    options = cli.parser().parse_args(["exceptions", *arguments, "--json"])
    capsys.readouterr()
    assert await options.run(desk.service.service, options) == cli.FINE
    printed = capsys.readouterr().out.splitlines()
    # The log may be on standard output here; the answer begins with its bracket.
    start = next(number for number, line in enumerate(printed) if line.startswith("["))
    return list(json.loads("\n".join(printed[start:])))


async def test_unmatched_money_is_for_operators_who_give_it_to_a_payment(
    desk: OddMoney, capsys: pytest.CaptureFixture[str]
) -> None:
    await desk.unmatched()
    payment = await desk.service.create(PRICE)

    (found,) = await command(desk, capsys, "list", "--code", "unmatched")
    (applied,) = await command(
        desk, capsys, "resolve", found["exception_id"], "--apply", payment["payment_id"],
        "--reason", "the bank's letter of Monday", "--actor", "mai",
    )  # fmt: skip

    assert (found["amount"], found["payment_id"], found["tenant_id"]) == (PRICE, None, None)
    assert found["allowed_actions"] == "apply,keep"
    assert (await desk.service.request("GET", "/v1/exceptions")).json()["data"] == []
    assert (applied["outcome"], applied["applied_to"]) == ("applied", payment["payment_id"])
    assert await desk.amounts(payment) == ("paid", PRICE, 0, 0)
    path = f"/v1/payments/{payment['payment_id']}/timeline"
    entries = (await desk.service.request("GET", path)).json()["entries"]
    assert (entries[-1]["actor"], entries[-1]["actor_id"], entries[-1]["reason"]) == (
        "operator", "mai", "the bank's letter of Monday",
    )  # fmt: skip
    assert entries[-1]["exception_id"] == found["exception_id"]


async def test_unmatched_money_of_a_closed_payment_becomes_that_payments_late_money(
    desk: OddMoney, capsys: pytest.CaptureFixture[str]
) -> None:
    await desk.unmatched()
    payment = await desk.expired()

    (found,) = await command(desk, capsys, "list")
    await command(desk, capsys, "resolve", found["exception_id"], "--apply",
                  payment["payment_id"], "--reason", "found")  # fmt: skip

    assert await desk.amounts(payment) == ("expired", PRICE, PRICE, 0)
    late = await desk.exception(payment)
    assert (late["code"], late["allowed_actions"]) == ("late", ["refund", "apply", "keep"])
    assert (await desk.resolve(late, "refund")).status_code == 200


async def test_unmatched_money_that_is_told_again_is_one_question(desk: OddMoney) -> None:
    payment = await desk.service.create(PRICE)
    desk.simulator.pay(payment["provider_reference"], PRICE)
    for extra in ("a", "b"):
        await desk.tell(payment, orderCode=777, paymentLinkId=FOREIGN_LINK, note=extra)

    count = await desk.service.service.database.read(exceptions.backlog)

    assert count[0] == 1


async def test_unmatched_money_that_is_kept_is_in_the_audit_log(
    desk: OddMoney, capsys: pytest.CaptureFixture[str]
) -> None:
    await desk.unmatched()
    (found,) = await command(desk, capsys, "list")

    (kept,) = await command(desk, capsys, "resolve", found["exception_id"], "--keep",
                            "--reason", "another shop's, told them")  # fmt: skip

    assert (kept["outcome"], kept["resolved_by"]) == ("kept", "operator")
    async with desk.service.service.database.engine.connect() as connection:
        rows = (await connection.exec_driver_sql(
            "SELECT action, actor, reason, amount FROM audit_log WHERE payment_id IS NULL"
        )).all()  # fmt: skip
    assert rows == [("exception.resolved", "operator", "another shop's, told them", PRICE)]


async def test_operators_resolve_for_all_tenants_by_the_same_rules(
    desk: OddMoney, capsys: pytest.CaptureFixture[str]
) -> None:
    payment = await desk.expired(late=PRICE)
    other = await desk.service.create(PRICE)
    exception_id = (await desk.exception(payment))["exception_id"]
    resolve = ("resolve", exception_id, "--reason", "r")

    with pytest.raises(ExceptionTargetNotAllowed):
        await command(desk, capsys, *resolve, "--apply", other["payment_id"])
    with pytest.raises(NotFound):
        await command(desk, capsys, *resolve, "--apply", "pay_" + "0" * 26)
    (refunded,) = await command(desk, capsys, *resolve, "--refund", "970422:0123456789",
                                "--amount", "40")  # fmt: skip

    assert (refunded["outcome"], refunded["tenant_id"]) == ("refunded", "shop")
    assert await desk.amounts(payment) == ("expired", PRICE, PRICE, 40)
    assert await command(desk, capsys, "list") == []
    assert await command(desk, capsys, "show", exception_id) == [refunded]
    (listed,) = await command(desk, capsys, "list", "--status", "resolved", "--tenant", "shop")
    assert listed == refunded


async def test_unmatched_money_cannot_be_refunded_before_it_is_somebodys(
    desk: OddMoney, capsys: pytest.CaptureFixture[str]
) -> None:
    await desk.unmatched()
    (found,) = await command(desk, capsys, "list")

    with pytest.raises(ExceptionActionNotAllowed):
        await command(desk, capsys, "resolve", found["exception_id"], "--refund", "source",
                      "--reason", "r")  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [
        ("--keep",),
        ("--reason", "r"),
        ("--keep", "--apply", "pay_x", "--reason", "r"),
        ("--refund", "somewhere", "--reason", "r"),
        ("--refund", "source", "--amount", "1.5", "--reason", "r"),
        ("--refund", "source", "--amount", "0", "--reason", "r"),
        ("--keep", "--reason", " "),
        ("--keep", "--amount", "5", "--reason", "r"),
    ],
)
def test_wrong_usage_of_the_command_is_told_as_such(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/none.db"
    for name, value in environment(url, {"PAYMENTS_PROVIDER": "fake"}).items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SystemExit) as stopped:
        cli.main(["exceptions", "resolve", "exc_x", *arguments])

    assert stopped.value.code == cli.USAGE


async def test_command_tells_by_its_exit_code(
    desk: OddMoney, database_url: str, simulator: Simulator
) -> None:
    exception = await desk.exception(await desk.expired(late=PRICE))
    environ = os.environ | environment(database_url, simulator.environment)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "payment_service", "exceptions", *arguments],
            env=environ, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    keep = ("resolve", exception["exception_id"], "--keep", "--reason", "as agreed")
    done = [await asyncio.to_thread(run, *keep) for _ in range(2)]
    shown = await asyncio.to_thread(run, "show", exception["exception_id"], "--json")

    assert [each.returncode for each in done] == [cli.FINE, cli.WRONG], done[0].stderr
    assert "was kept by operator" in done[1].stderr
    assert json.loads(shown.stdout)[0]["outcome"] == "kept"


async def test_open_exceptions_and_their_age_are_counted(desk: OddMoney) -> None:
    await desk.expired(late=PRICE)
    await desk.unmatched()
    clock, metrics = desk.service.clock, desk.service.service.metrics

    clock.advance(timedelta(hours=1))
    await desk.service.service.observer().run_once()

    def value(name: str) -> float:
        return metrics.registry.get_sample_value(f"payments_exceptions_{name}") or 0.0

    assert value("open") == 2
    assert 3600 <= value("oldest_age_seconds") < 7200
