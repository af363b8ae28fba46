"""Webhooks that come together share a transaction, and nothing else."""

import asyncio
from collections import Counter
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from payment_service.storage import group_commit, webhooks
from payment_service.telemetry.logging import add_circumstances
from tests.support.service import Harness
from tests.support.simulator import Simulator


async def paid(service: Harness, simulator: Simulator, times: int) -> list[dict[str, Any]]:
    """Make payments that are paid; return their webhooks, which nobody has delivered."""
    made = [await service.create(45_000) for _ in range(times)]
    for payment in made:
        simulator.pay(payment["provider_reference"])
    return [simulator.webhook(payment["provider_reference"]) for payment in made]


async def count(service: Harness, query: str) -> int:
    found = await service.service.database.read(lambda session: session.scalar(text(query)))
    return int(found or 0)


async def post_all(service: Harness, webhooks: list[dict[str, Any]]) -> list[httpx.Response]:
    """Deliver webhooks at the same time, each in a request with a name."""
    return await asyncio.gather(*(
        service.http.post("/v1/webhooks/payos", json=webhook,
                          headers={"X-Request-Id": f"delivery-{number}"})
        for number, webhook in enumerate(webhooks)
    ))  # fmt: skip


async def test_webhooks_that_come_together_are_each_stored_once(
    service: Harness, simulator: Simulator
) -> None:
    a, b, c = await paid(service, simulator, 3)
    forged = {**a, "data": {**a["data"], "amount": 1}}

    responses = await post_all(service, [a, b, a, forged, c, a, b])

    assert [response.status_code for response in responses] == [200, 200, 200, 401, 200, 200, 200]
    assert await count(service, "SELECT COUNT(*) FROM webhook_events") == 4  # one is evidence
    told = "SELECT COUNT(*) FROM outbox_events WHERE topic = 'payments.webhooks.v1'"
    assert await count(service, told) == 3
    await service.settle()
    assert await count(service, "SELECT COUNT(*) FROM receipts") == 3


async def test_twins_in_groups_beside_each_other_are_stored_once(
    service: Harness, simulator: Simulator, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "GROUP_FULL", 2)
    really_add, tries = webhooks.add, 0
    at_a_time = 1 if database_url.startswith("sqlite") else 2  # SQLite has one writer
    both_are_there = asyncio.Barrier(at_a_time)

    async def add(*asked: Any) -> dict[str, str]:
        nonlocal tries
        tries += 1
        if tries <= at_a_time:
            await both_are_there.wait()
        return await really_add(*asked)

    made = await paid(service, simulator, 3)
    monkeypatch.setattr(webhooks, "add", add)
    async with asyncio.timeout(10):
        responses = await post_all(service, made * 6)

    assert {response.status_code for response in responses} == {200}
    assert await count(service, "SELECT COUNT(*) FROM webhook_events") == 3
    told = "SELECT COUNT(*) FROM outbox_events WHERE topic = 'payments.webhooks.v1'"
    assert await count(service, told) == 3


async def test_each_webhook_is_logged_by_the_request_that_brought_it(
    service: Harness, simulator: Simulator
) -> None:
    a, b, c = await paid(service, simulator, 3)

    with capture_logs(processors=[add_circumstances]) as lines:
        await post_all(service, [a, b, a, c])

    served = [line for line in lines if line["event"] == "request.served"]
    assert Counter(line["request_id"] for line in served) == {
        f"delivery-{number}": 1 for number in range(4)
    }
    outcomes = Counter(line["outcome"] for line in served)
    assert outcomes == {"received": 3, "duplicate": 1}
    assert len({line["webhook_id"] for line in served}) == 3


async def test_a_webhook_that_cannot_wait_is_turned_away_and_comes_again(
    service: Harness, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhooks = await paid(service, simulator, 3)

    with monkeypatch.context() as patch:
        patch.setattr(group_commit, "WAITING_MAX", 0)
        refused = await post_all(service, webhooks)
    again = await post_all(service, webhooks)

    assert {response.status_code for response in refused} == {503}
    assert {response.json()["code"] for response in refused} == {"OVERLOADED"}
    assert {response.headers["retry-after"] for response in refused} == {"1"}
    assert {response.status_code for response in again} == {200}
    assert await count(service, "SELECT COUNT(*) FROM webhook_events") == 3
