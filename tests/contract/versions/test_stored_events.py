"""Events of every version: stored ones stay what they were, and who knows only the first reads on.

The corpus holds streams as they were once published, byte for byte: `python -m
tests.contract.versions` records those of a new version. It only grows: see `codegen/released/`.
"""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from payment_service.domain.ids import new_id
from payment_service.messaging import events, topics
from payment_service.storage import outbox
from tests.contract.test_examples import SCHEMAS, closed
from tests.contract.versions.stories import STORIES
from tests.support.odd_money import OddMoney
from tests.support.service import Harness

CORPUS = Path(__file__).parents[2] / "fixtures" / "events"
STREAMS = sorted(CORPUS.glob("v*/*.jsonl"))
VERSIONS = sorted(int(name.removeprefix("events/v").removesuffix(".json"))
                  for name in SCHEMAS if name.startswith("events/"))  # fmt: skip
NEWEST = VERSIONS[-1]


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """What an event says does not depend on the database."""
    return f"sqlite+aiosqlite:///{tmp_path}/payments.db"


def validate(event: dict[str, Any], version: int) -> None:
    """Check that an event satisfies the schema of its version, and of each one before."""
    for number in range(1, version + 1):
        jsonschema.validate(event, SCHEMAS[f"events/v{number}.json"])
    jsonschema.validate(event, closed(SCHEMAS[f"events/v{version}.json"]))


@pytest.mark.parametrize("stream", STREAMS, ids=[f"{s.parent.name}/{s.stem}" for s in STREAMS])
def test_stored_event_satisfies_its_version_and_all_before(stream: Path) -> None:
    told = [json.loads(line) for line in stream.read_bytes().splitlines()]

    for event in told:
        version = event["data"]["event_version"]
        assert stream.parent.name == f"v{version}"
        assert event["dataschema"] == f"urn:payment-service:schemas:events:v{version}"
        validate(event, version)


def test_each_version_has_a_stream_of_each_story() -> None:
    assert {(stream.parent.name, stream.stem) for stream in STREAMS} == {
        (f"v{version}", story) for version in VERSIONS for story in STORIES
    }
    assert events.EVENTS_VERSION == NEWEST


@pytest.mark.parametrize("name", STORIES)
async def test_what_is_published_today_satisfies_every_version(desk: OddMoney, name: str) -> None:
    await STORIES[name](desk)
    await desk.service.settle()

    told = desk.service.events()
    statuses: dict[str, str] = {}
    for event in told:
        validate(event, NEWEST)
        data = event["data"]
        assert data.get("previous_status") == statuses.get(event["subject"])
        statuses[event["subject"]] = data["payment"]["status"]
    assert len(told) >= 2


async def test_money_that_comes_is_told_from_a_refund_that_comes_back(desk: OddMoney) -> None:
    """What version 1 could not say: both are payment.paid, and only one is worth a thank-you."""
    payment = await desk.returned()

    paid = [event for event in await desk.events(payment) if event["type"] == "payment.paid"]

    told = [(event["data"]["previous_status"], event["data"]["actor"]) for event in paid]
    assert told == [("pending", "webhook"), ("partially_refunded", "job")]


async def test_hand_that_made_a_change_is_told(desk: OddMoney) -> None:
    payment = await desk.service.create(100)
    path = f"/v1/payments/{payment['payment_id']}/cancel"
    await desk.service.request("POST", path, {})
    expired = await desk.expired()

    canceled = [event["data"]["actor"] for event in await desk.events(payment)]
    waited = [event["data"]["actor"] for event in await desk.events(expired)]

    assert canceled == ["client", "client"]
    assert waited == ["client", "job"]


async def test_outbox_of_an_earlier_release_is_published_as_it_was_written(
    service: Harness,
) -> None:
    """An upgrade finds events that wait: they are facts of that day, and nobody rewrites them."""
    values = [line for stream in STREAMS for line in stream.read_bytes().splitlines()]
    now = service.clock()
    waiting = [
        outbox.NewMessage(
            topic=topics.EVENTS,
            message_key=json.loads(value)["subject"],
            message_id=new_id("evt", now),
            payload=value,
            headers={},
            at=now,
        )
        for value in values
    ]
    await service.service.database.transact("test", lambda session: outbox.add(session, *waiting))

    await service.settle()

    published = service.published.published
    assert sorted(message.value for message in published) == sorted(values)


def test_message_of_a_later_release_names_its_webhook() -> None:
    """While a release is rolled out the consumer of the old one reads what the new one writes."""
    told = {
        "event_version": 2, "webhook_id": "whk_" + "0" * 26, "provider": "payos",
        "received_at": "2026-11-24T03:15:00Z", "priority": {"level": 1},
    }  # fmt: skip

    assert events.read_webhook_received(json.dumps(told).encode()) == told["webhook_id"]
