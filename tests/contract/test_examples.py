"""Every example in the contract is true: requests work, responses satisfy their schemas."""

from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml

from tests.support.service import Harness
from tests.support.simulator import Simulator

ROOT = Path(__file__).parents[2]
CONTRACT = yaml.safe_load((ROOT / "openapi.yaml").read_text())
SCHEMAS = {
    str(path.relative_to(ROOT / "webhook-schemas")): msgspec.json.decode(path.read_bytes())
    for path in sorted((ROOT / "webhook-schemas").glob("*/*.json"))
}


def follow(node: Any) -> Any:
    while isinstance(node, dict) and "$ref" in node:
        target: Any = CONTRACT
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/")]
        node = target
    return node


def media(node: Any, where: str = "#") -> list[tuple[str, Any, Any]]:
    """List every example with its schema."""
    found = []
    if isinstance(node, dict):
        if "schema" in node and "examples" in node and isinstance(node["examples"], dict):
            for name, example in node["examples"].items():
                found.append((f"{where}/{name}", node["schema"], follow(example)["value"]))
        for key, member in node.items():
            found += media(member, f"{where}/{key}")
    return found


EXAMPLES = media(CONTRACT)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example[0])
def test_example_satisfies_its_schema(example: tuple[str, Any, Any]) -> None:
    _, schema, value = example
    validator = jsonschema.Draft202012Validator({**schema, "components": CONTRACT["components"]})

    assert [error.message for error in validator.iter_errors(value)] == []


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 15


async def test_request_examples_work(service: Harness, simulator: Simulator) -> None:
    create = CONTRACT["paths"]["/v1/payments"]["post"]["requestBody"]["content"]
    made = None
    for example in create["application/json"]["examples"].values():
        made = await service.request("POST", "/v1/payments", example["value"])
        assert made.status_code == 201, made.text
    assert made is not None
    path = f"/v1/payments/{made.json()['payment_id']}"
    simulator.pay(made.json()["provider_reference"])
    await service.deliver(simulator.webhook(made.json()["provider_reference"]))
    refund = CONTRACT["paths"]["/v1/payments/{payment_id}/refunds"]["post"]["requestBody"]
    for example in refund["content"]["application/json"]["examples"].values():
        response = await service.request("POST", f"{path}/refunds", example["value"])
        assert response.status_code == 201, response.text


@pytest.mark.parametrize("name", SCHEMAS)
def test_message_schema_is_a_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])


async def test_published_events_satisfy_their_schema_and_count_without_gaps(
    service: Harness, simulator: Simulator
) -> None:
    payment = await service.create(100)
    simulator.pay(payment["provider_reference"], 60)
    await service.deliver(simulator.webhook(payment["provider_reference"]))
    simulator.pay(payment["provider_reference"], 60)
    await service.deliver(simulator.webhook(payment["provider_reference"]))
    refund = {"amount": 50, "reason": "other", "destination": {"type": "source"}}
    await service.request("POST", f"/v1/payments/{payment['payment_id']}/refunds", refund)
    await service.settle()
    await service.advance(10)

    messages = [m for m in service.published.published if m.topic == "payments.events.v1"]
    events = [msgspec.json.decode(message.value) for message in messages]
    for event in events:
        jsonschema.validate(event, SCHEMAS["events/v1.json"])
    assert [event["data"]["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert [event["type"] for event in events] == [
        "payment.created", "payment.receipt", "payment.paid", "refund.created",
        "refund.succeeded", "payment.partially_refunded",
    ]  # fmt: skip
    assert {message.key for message in messages} == {payment["payment_id"]}
    received = [m for m in service.published.published if m.topic == "payments.webhooks.v1"]
    for message in received:
        jsonschema.validate(msgspec.json.decode(message.value), SCHEMAS["received/v1.json"])
    assert len(received) == 2
