"""Dead letters and replay, as an operator does it: find, look, repeat; never twice the money."""

import json
from typing import Any

import pytest

from payment_service import cli
from payment_service.messaging import topics
from payment_service.providers.payos import webhooks as payos_webhooks
from payment_service.use_cases.apply_webhook import RETRY_DELAY, TRIES_MAX
from tests.support.commands import Commands
from tests.support.service import Harness
from tests.support.simulator import Simulator


@pytest.fixture
def commands(service: Harness, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(service.service, capsys)


async def pay(service: Harness, simulator: Simulator, **more: Any) -> str:
    """Create a payment and have it paid by webhook; return its id."""
    payment = await service.create(45_000)
    simulator.pay(payment["provider_reference"], **more)
    await service.deliver(simulator.webhook(payment["provider_reference"]))
    return str(payment["payment_id"])


async def newest(commands: Commands) -> dict[str, Any]:
    return dict((await commands.json("webhooks", "list", "--limit", "1"))[0])


def break_consumer(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("a bug of ours")

    monkeypatch.setattr(payos_webhooks, "parse", broken)


def silence_provider(simulator: Simulator) -> None:
    """Let nobody learn of the money but from the webhook."""
    simulator.fault("status", path="/v2/payment-requests/.*", times=100_000)


async def test_bug_puts_a_webhook_off_then_aside_and_replay_applies_it(
    service: Harness, simulator: Simulator, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    silence_provider(simulator)
    with monkeypatch.context() as patch:
        break_consumer(patch)
        payment_id = await pay(service, simulator)
        attempts = [(await newest(commands))["attempts"]]
        for number in range(1, TRIES_MAX):
            await service.advance((RETRY_DELAY * 2 ** (number - 1)).total_seconds() - 1)
            early = (await newest(commands))["attempts"]
            await service.advance(1)
            attempts.append((await newest(commands))["attempts"])
            assert early == attempts[-2]
    dead = (await commands.json("dlq", "list"))[0]
    letters = [json.loads(message.value) for message in service.published.published
               if message.topic == topics.DEAD_LETTERS]  # fmt: skip

    code = await commands("dlq", "replay", dead["id"], "--actor", "anh", "--note", "fixed")
    await service.settle()

    assert attempts == list(range(1, TRIES_MAX + 1))
    assert (dead["status"], dead["reason"]) == ("dead", "failed: ZeroDivisionError")
    assert [(entry["webhook_id"], entry["reason"], entry["attempts"]) for entry in letters] == [
        (dead["id"], dead["reason"], TRIES_MAX)
    ]
    assert code == 0
    assert (await service.get(payment_id))["status"] == "paid"
    assert await commands.json("dlq", "list") == []
    shown = (await commands.json("webhooks", "show", dead["id"]))[0]
    assert (shown["status"], shown["reason"]) == ("applied", None)
    assert [(entry["actor"], entry["reason"]) for entry in shown["replays"]] == [
        ("operator:anh", "fixed")
    ]


async def test_replay_of_an_applied_webhook_changes_nothing(
    service: Harness, simulator: Simulator, commands: Commands
) -> None:
    payment_id = await pay(service, simulator)
    before = await service.get(payment_id)
    told = len(service.published.published)
    webhook_id = (await newest(commands))["id"]

    for _ in range(3):
        assert await commands("webhooks", "replay", webhook_id) == 0
        await service.settle()

    assert await service.get(payment_id) == before
    events = [message.topic for message in list(service.published.published)[told:]]
    assert events == [topics.WEBHOOKS] * 3
    assert (await newest(commands))["status"] == "applied"


async def test_all_of_a_reason_are_replayed_within_a_bound_and_first_only_named(
    service: Harness, simulator: Simulator, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    silence_provider(simulator)
    with monkeypatch.context() as patch:
        break_consumer(patch)
        paid = [await pay(service, simulator) for _ in range(3)]
        for _ in range(TRIES_MAX):
            await service.advance(300)
    everything = ("dlq", "replay", "--all", "--reason", "failed: Zero")

    named = await commands.json(*everything, "--dry-run")
    still_dead = len(await commands.json("dlq", "list"))
    none = await commands.json("dlq", "replay", "--all", "--reason", "failed: Key")
    some = await commands.json(*everything, "--limit", "2")
    await service.settle()
    left = len(await commands.json("dlq", "list"))
    await commands(*everything)
    await service.settle()

    assert {entry["outcome"] for entry in named} == {"would be applied again"}
    assert (len(named), still_dead, none, len(some), left) == (3, 3, [], 2, 1)
    assert {(await service.get(payment_id))["amounts"]["received"] for payment_id in paid} == {
        45_000
    }


@pytest.mark.parametrize(
    "arguments",
    [("dlq", "replay"), ("dlq", "replay", "--all"), ("webhooks", "replay", "--all"),
     ("webhooks", "replay", "whk_1", "--all", "--reason", "x")],
)  # fmt: skip
async def test_replay_says_what_is_missing_and_does_nothing(
    commands: Commands, arguments: tuple[str, ...]
) -> None:
    assert await commands(*arguments) == 2


async def test_replay_goes_on_after_a_webhook_that_cannot_be_replayed(
    service: Harness, simulator: Simulator, commands: Commands
) -> None:
    payment_id = await pay(service, simulator)
    applied = (await newest(commands))["id"]
    forged = simulator.webhook((await service.get(payment_id))["provider_reference"])
    forged["signature"] = "0" * 64
    await service.deliver(forged)
    rejected = (await commands.json("webhooks", "list", "--status", "rejected"))[0]["id"]

    code = await commands("webhooks", "replay", "whk_none", rejected, applied, "--json")

    assert code == 1
    assert [entry["outcome"] for entry in json.loads(commands.printed)] == [
        "There is no such webhook.",
        "A webhook with a wrong signature is never applied.",
        "will be applied again",
    ]
    await service.settle()


async def test_webhooks_are_listed_by_what_is_wanted(
    service: Harness, simulator: Simulator, commands: Commands
) -> None:
    await pay(service, simulator)
    await service.advance(7200)
    await pay(service, simulator)
    everything = [entry["id"] for entry in await commands.json("webhooks", "list")]

    async def listed(*filters: str) -> list[str]:
        return [entry["id"] for entry in await commands.json("webhooks", "list", *filters)]

    assert len(everything) == 2
    assert await listed("--limit", "1") == everything[:1]
    assert await listed("--since", "1h") == everything[:1]
    assert await listed("--since", "1d") == everything
    assert await listed("--since", "2020-01-01T00:00:00Z") == everything
    assert await listed("--status", "applied", "--provider", "payos") == everything
    assert await listed("--status", "dead") == await listed("--provider", "fake") == []


@pytest.mark.parametrize("value", ["0", "1001", "-1", "x", ""])
def test_lists_have_a_bound(value: str) -> None:
    with pytest.raises(SystemExit):
        cli.parser().parse_args(["webhooks", "list", "--limit", value])


@pytest.mark.parametrize("value", ["yesterday", "2026-01-01T00:00:00", "5y", "", "h"])
def test_instants_carry_their_offset(value: str) -> None:
    with pytest.raises(SystemExit):
        cli.parser().parse_args(["webhooks", "list", "--since", value])


@pytest.mark.parametrize("form", [(), ("--json",)])
async def test_shown_payload_tells_of_the_money_and_of_nobody(
    service: Harness, simulator: Simulator, commands: Commands, form: tuple[str, ...]
) -> None:
    await pay(service, simulator, counter_account="0099887766", counter_name="TRAN THI CANARY")

    await commands("webhooks", "show", (await newest(commands))["id"], *form)

    for told in ("45000", "orderCode", "reference", "FT"):
        assert told in commands.printed
    for personal in ("0099887766", "CANARY", "TRAN"):
        assert personal not in commands.printed
    assert '"signature": "***"' in commands.printed
