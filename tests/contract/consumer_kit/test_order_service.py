"""The reference consumer, with the kit and with what our releases have published."""

import asyncio
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from consumer_kit.__main__ import main
from consumer_kit.histories import refunded
from consumer_kit.in_process import check
from consumer_kit.scenarios import message, scenarios
from docs.examples.order_service.inbox import Inbox, Outcome
from docs.examples.order_service.store import Store, gaps, report
from payment_service.messaging import topics
from payment_service.messaging.broker import Message
from tests.contract.consumer_kit.consumers import order_service, validating_order_service
from tests.contract.versions.stories import STORIES
from tests.support.odd_money import OddMoney

ROOT = Path(__file__).parents[3]
CORPUS = ROOT / "tests" / "fixtures" / "events"
STREAMS = sorted(CORPUS.glob("v*/*.jsonl"))
EXAMPLE = f"{shlex.quote(sys.executable)} -m docs.examples.order_service"


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """What the service publishes does not depend on its database."""
    return f"sqlite+aiosqlite:///{tmp_path}/payments.db"


@pytest.fixture
def store(tmp_path: Path):
    made = Store(tmp_path / "orders.db")
    yield made
    made.close()


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda scenario: scenario.name)
async def test_example_stands_the_scenarios(scenario) -> None:
    (verdict,) = await check(order_service, [scenario])

    assert verdict.faults == ()


async def test_consumer_that_validates_by_the_first_version_counts_every_later_one() -> None:
    verdicts = await check(validating_order_service, scenarios())

    assert [verdict.scenario for verdict in verdicts if not verdict.is_fine] == []


@pytest.mark.stack
@pytest.mark.xdist_group("stack")
def test_example_stands_the_scenarios_on_kafka(
    kafka_server: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    run = "run --bootstrap {bootstrap} --topic {topic} --group {group}"
    state = "--state {state}/orders.db"

    code = main([
        "check", "--bootstrap", f"127.0.0.1:{kafka_server.port}",
        "--run", f"{EXAMPLE} {run} {state}", "--report", f"{EXAMPLE} report {state}",
    ])  # fmt: skip

    lines = capsys.readouterr().out.splitlines()
    assert code == 0, lines
    assert [line.split(":")[0] for line in lines] == [f"fine  {s.name}" for s in scenarios()]


@pytest.mark.stack
@pytest.mark.xdist_group("stack")
def test_consumer_that_dies_of_a_message_is_caught_on_kafka(
    kafka_server: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    dies = f"{shlex.quote(sys.executable)} -c 'raise SystemExit(\"no such column\")'"

    code = main([
        "check", "--bootstrap", f"127.0.0.1:{kafka_server.port}", "--only", "in_order", "poison",
        "--run", dies, "--report", f"{EXAMPLE} report --state {{state}}/orders.db",
    ])  # fmt: skip

    printed = capsys.readouterr().out
    assert code == 1
    assert "WRONG in_order" in printed
    assert "it dies again and again: no such column" in printed
    assert "1 more were not come to" in printed


@pytest.mark.stack
@pytest.mark.xdist_group("stack")
def test_consumer_that_counts_twice_is_caught_on_kafka(
    kafka_server: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    module = "tests.contract.consumer_kit.wrong_process"
    wrong = f"{shlex.quote(sys.executable)} -m {module} CountsTwice {{state}}"

    code = main([
        "check", "--bootstrap", f"127.0.0.1:{kafka_server.port}",
        "--run", f"{wrong} {{bootstrap}} {{topic}} {{group}}", "--report", wrong,
        "--only", "in_order", "delivered_twice", "unknown_members",
    ])  # fmt: skip

    printed = capsys.readouterr().out
    assert code == 1
    assert "fine  in_order" in printed
    assert "WRONG delivered_twice" in printed
    assert "payment.paid took effect 4 times, and happened 2 times" in printed
    assert "fine  unknown_members" in printed


@pytest.mark.parametrize("stream", STREAMS, ids=[f"{s.parent.name}/{s.stem}" for s in STREAMS])
def test_stream_of_each_version_is_counted_as_it_was_told(store: Store, stream: Path) -> None:
    values = stream.read_bytes().splitlines()
    inbox = Inbox(store)

    taken = [inbox.take(str(place), value) for place, value in enumerate(values)]
    again = [inbox.take(str(place), value) for place, value in enumerate(values)]

    assert set(taken) == {Outcome.COUNTED}
    assert set(again) == {Outcome.KNOWN}
    last = {event["subject"]: event["data"] for event in map(json.loads, values)}
    told = report(store)
    assert {key: entry["sequence"] for key, entry in told.items()} == {
        key: data["sequence"] for key, data in last.items()
    }
    for key, data in last.items():
        payment = data["payment"]
        assert told[key]["amount_received"] == payment["amount_received"]
        assert told[key]["amount_refunded"] == payment["amount_refunded"]


@pytest.mark.parametrize("version", [1, 2])
def test_customer_is_thanked_once_though_a_refund_comes_back(store: Store, version: int) -> None:
    inbox = Inbox(store)
    for event in refunded(1, version=version).events:
        inbox.take(event["id"], message(event).value)

    assert [row["order_reference"] for row in store.list("SELECT * FROM thanks")] == ["order-1"]


def test_gap_is_told_until_it_closes(store: Store) -> None:
    inbox, events = Inbox(store), refunded(1).events
    for event in (events[0], events[2], events[3]):
        inbox.take(event["id"], message(event).value)
    (gap,) = gaps(store)
    inbox.take(events[1]["id"], message(events[1]).value)

    assert (gap["payment_id"], gap["missing"], gap["waiting"]) == (events[0]["subject"], 2, 2)
    assert gaps(store) == []


def test_event_in_the_place_of_another_is_set_aside(store: Store) -> None:
    inbox, events = Inbox(store), refunded(1).events
    other = refunded(2).events[0]
    for event in events[:2]:
        inbox.take(event["id"], message(event).value)

    impostors = [
        events[1] | {"id": other["id"]},  # another id in its place
        events[2] | {"id": events[0]["id"]},  # its id in another place
        other | {"id": events[0]["id"]},  # its id in another payment
    ]
    outcomes = [inbox.take(str(n), message(event).value) for n, event in enumerate(impostors)]

    assert outcomes == [Outcome.SET_ASIDE] * 3
    assert [row["place"] for row in store.list("SELECT place FROM set_aside")] == ["0", "1", "2"]
    assert inbox.take("3", message(events[2]).value) is Outcome.COUNTED


def test_crash_between_effect_and_note_leaves_neither(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox, event = Inbox(store), refunded(1).events[0]

    def die(self: Inbox, payment_id: str, sequence: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(Inbox, "_count_what_waited", die)
        with pytest.raises(KeyboardInterrupt):
            inbox.take("0", message(event).value)

    assert report(store) == {}
    assert inbox.take("0", message(event).value) is Outcome.COUNTED


@pytest.mark.parametrize("name", STORIES)
async def test_example_believes_what_the_api_says(desk: OddMoney, store: Store, name: str) -> None:
    """The service and the example side by side, on the broker that is in the process."""
    inbox, broker = Inbox(store), desk.service.published

    async def take(delivered: Message) -> None:
        inbox.take(delivered.headers["message-id"], delivered.value)

    following = asyncio.create_task(broker.subscriber().run([topics.EVENTS], "orders", take))
    await asyncio.sleep(0)  # one turn of the loop: it subscribes
    await STORIES[name](desk)
    await desk.service.settle()
    following.cancel()

    believed = report(store)
    listed = (await desk.service.request("GET", "/v1/payments")).json()["data"]
    assert {payment["payment_id"]: summary(payment) for payment in listed} == {
        payment_id: {k: told[k] for k in ("status", "sequence", "amount_received")}
        for payment_id, told in believed.items()
    }


def summary(payment: dict[str, Any]) -> dict[str, Any]:
    """What the API says of a payment, in the words of the example."""
    return {
        "status": payment["status"],
        "sequence": payment["version"],
        "amount_received": payment["amounts"]["received"],
    }
