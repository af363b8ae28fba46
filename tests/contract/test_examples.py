"""Every example in the contract is true: requests work, responses satisfy their schemas."""

from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml

from tests.support.odd_money import OddMoney
from tests.support.service import Harness
from tests.support.simulator import Simulator

ROOT = Path(__file__).parents[2]
CONTRACT = yaml.safe_load((ROOT / "openapi.yaml").read_text())
SCHEMAS = {
    str(path.relative_to(ROOT / "webhook-schemas")): msgspec.json.decode(path.read_bytes())
    for path in sorted((ROOT / "webhook-schemas").glob("*/*.json"))
}


def closed(schema: Any) -> Any:
    """Copy a schema so that a member or a word which it does not know is a fault."""
    if isinstance(schema, list):
        return [closed(member) for member in schema]
    if not isinstance(schema, dict):
        return schema
    copy = {key: closed(member) for key, member in schema.items()}
    if isinstance(schema.get("properties"), dict):
        copy["additionalProperties"] = False
    if "x-extensible-enum" in schema:
        copy["enum"] = schema["x-extensible-enum"]
    return copy


NEWEST = max((name for name in SCHEMAS if name.startswith("events/")), key=lambda n: (len(n), n))
CLOSED = closed(SCHEMAS[NEWEST])


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


async def test_examples_of_decisions_work(desk: OddMoney) -> None:
    resolve = CONTRACT["paths"]["/v1/exceptions/{exception_id}/resolve"]["post"]["requestBody"]
    for name, example in resolve["content"]["application/json"]["examples"].items():
        payment = await desk.service.create(45_000, expires_in_seconds=60)
        await desk.service.advance(61)
        await desk.pay(payment, 45_000)
        exception = await desk.exception(payment)
        body = dict(example["value"])
        if "payment_id" in body:
            order = payment["order_reference"]
            fresh = await desk.service.create(45_000, order_reference=order)
            body["payment_id"] = fresh["payment_id"]
        path = f"/v1/exceptions/{exception['exception_id']}/resolve"
        response = await desk.service.request("POST", path, body)
        assert response.status_code == 200, (name, response.text)


@pytest.mark.parametrize("name", SCHEMAS)
def test_message_schema_is_a_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])


async def test_events_of_decisions_satisfy_their_schema(desk: OddMoney) -> None:
    late = await desk.expired(late=100)
    fresh = await desk.service.create(60, order_reference=late["order_reference"])
    moved = await desk.resolve(await desk.exception(late), "apply", payment_id=fresh["payment_id"])
    assert moved.status_code == 200, moved.text
    assert (await desk.resolve(await desk.exception(fresh), "refund")).status_code == 200
    kept = await desk.expired(30)
    assert (await desk.resolve(await desk.exception(kept), "keep")).status_code == 200
    await desk.service.settle()

    events = desk.service.events()

    for event in events:
        jsonschema.validate(event, CLOSED)
    outcomes = {event["data"]["exception"]["resolution"]["outcome"] for event in events
                if event["type"] == "payment.exception_resolved"}  # fmt: skip
    assert outcomes == {"applied", "refunded", "kept"}
    assert sum("reallocation" in event["data"] for event in events) == 2


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
        jsonschema.validate(event, CLOSED)
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
