"""The AsyncAPI document is true: of the topics, of the schemas, and of what is published."""

import json
import os
import shutil
import subprocess
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from payment_service.messaging.topics import TOPICS
from tests.contract.test_examples import closed
from tests.support.service import Harness
from tests.support.simulator import Simulator

ROOT = Path(__file__).parents[2]
DOCUMENT = json.loads((files("generated.docs") / "asyncapi.json").read_text())
SPECIFICATION = Path(__file__).parent / "asyncapi"
INSTALL_SECONDS = 120
MESSAGES = DOCUMENT["components"]["messages"]
EXAMPLES = [
    (f"{name}/{example['name']}", name, example["payload"])
    for name, message in MESSAGES.items()
    for example in message["examples"]
]


def schema_of(message: str) -> dict[str, Any]:
    """Get the whole schema of a message; a member that it does not know is a fault."""
    payload = MESSAGES[message]["payload"]
    return dict(closed({**payload, "components": {"schemas": DOCUMENT["components"]["schemas"]}}))


def missing(reason: str) -> None:
    """Skip where the tools cannot be had; fail where they must be there."""
    (pytest.fail if os.environ.get("REQUIRE_STACK") else pytest.skip)(reason)


@pytest.fixture(scope="module")
def specification() -> dict[str, Any]:
    """The schema of AsyncAPI documents, by its makers."""
    schema = SPECIFICATION / "node_modules" / "@asyncapi" / "specs" / "schemas" / "3.0.0.json"
    if not schema.is_file():
        if shutil.which("npm") is None:
            missing("npm is not installed")
        done = subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"],
            cwd=SPECIFICATION, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS,
        )  # fmt: skip
        if done.returncode != 0:
            missing(f"npm could not install the specification: {done.stderr[-200:]}")
    return dict(json.loads(schema.read_text()))


def test_it_is_an_asyncapi_document(specification: dict[str, Any]) -> None:
    faults = jsonschema.Draft7Validator(specification).iter_errors(DOCUMENT)

    assert [(list(fault.absolute_path), fault.message) for fault in faults] == []


def test_channels_are_the_topics_and_keep_as_long() -> None:
    written = {}
    for channel in DOCUMENT["channels"].values():
        kafka = channel["bindings"]["kafka"]
        assert kafka["topic"] == channel["address"]
        kept = timedelta(milliseconds=kafka["topicConfiguration"]["retention.ms"])
        written[channel["address"]] = kept

    assert written == {topic.name: topic.retention for topic in TOPICS}


def test_every_topic_is_written_by_somebody_and_every_message_is_on_a_topic() -> None:
    sent = {operation["channel"]["$ref"].rsplit("/", 1)[1]
            for operation in DOCUMENT["operations"].values()
            if operation["action"] == "send"}  # fmt: skip
    carried = [name for channel in DOCUMENT["channels"].values() for name in channel["messages"]]

    assert sent == set(DOCUMENT["channels"])
    assert sorted(carried) == sorted(MESSAGES)


@pytest.mark.parametrize(("_name", "message", "payload"), EXAMPLES, ids=[e[0] for e in EXAMPLES])
def test_example_satisfies_its_schema(_name: str, message: str, payload: Any) -> None:
    jsonschema.validate(payload, schema_of(message))


def test_every_message_has_an_example() -> None:
    assert {message for _, message, _ in EXAMPLES} == set(MESSAGES)


def test_every_member_says_what_it_tells() -> None:
    silent = [
        f"{name}.{member}"
        for name, schema in DOCUMENT["components"]["schemas"].items()
        for member, node in schema.get("properties", {}).items()
        if not node.get("description")
    ]

    assert silent == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_is_published_is_what_the_document_says(
    service: Harness, simulator: Simulator
) -> None:
    payment = await service.create(100)
    simulator.pay(payment["provider_reference"])
    await service.deliver(simulator.webhook(payment["provider_reference"]))

    published = service.published.published

    by_address = {channel["address"]: channel for channel in DOCUMENT["channels"].values()}
    assert {message.topic for message in published} == {
        "payments.events.v1", "payments.webhooks.v1",
    }  # fmt: skip
    for message in published:
        *_, name = by_address[message.topic]["messages"]  # the newest
        jsonschema.validate(json.loads(message.value), schema_of(name))
        trait = DOCUMENT["components"]["messageTraits"]["OutboxMessage"]
        assert set(message.headers) <= set(trait["headers"]["properties"])
        assert set(trait["headers"]["required"]) <= set(message.headers)
