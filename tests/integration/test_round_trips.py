"""What each operation asks of the database: statements and commits, so that they cannot creep up.

Each statement is a round trip, and so is each commit; nothing else is sent. A smaller number is
good news: write it down here.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text

from tests.support.service import Harness
from tests.support.simulator import Simulator
from tests.support.statements import watched

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

Work = Callable[[], Awaitable[Any]]


async def cost(work: Work) -> tuple[int, int]:
    """Count the statements and the commits of some work."""
    with watched() as sent:
        await work()
    return sent.counted()


async def paid_webhook(service: Harness, simulator: Simulator) -> dict[str, Any]:
    """Make a payment that is paid, of which nobody has told; return the webhook."""
    payment = await service.create()
    await service.settle()
    simulator.pay(payment["provider_reference"])
    return simulator.webhook(payment["provider_reference"])


async def post(service: Harness, webhook: dict[str, Any]) -> None:
    response = await service.http.post("/v1/webhooks/payos", json=webhook)
    assert response.status_code == 200


async def test_create(service: Harness) -> None:
    assert await cost(service.create) == (8, 2)


async def test_get(service: Harness) -> None:
    payment = await service.create()

    assert await cost(lambda: service.get(payment["payment_id"])) == (1, 0)


async def test_list(service: Harness) -> None:
    for _ in range(3):
        await service.create()

    assert await cost(lambda: service.request("GET", "/v1/payments")) == (3, 0)


async def test_webhook(service: Harness, simulator: Simulator) -> None:
    webhook = await paid_webhook(service, simulator)

    assert await cost(lambda: post(service, webhook)) == (2, 1)
    assert await cost(lambda: post(service, webhook)) == (2, 1)  # it is known


async def test_webhooks_that_come_together(service: Harness, simulator: Simulator) -> None:
    webhooks = [await paid_webhook(service, simulator) for _ in range(8)]

    # In one transaction, with as many statements as one of them needs.
    together = cost(lambda: asyncio.gather(*(post(service, each) for each in webhooks)))
    assert await together == (2, 1)


async def test_webhook_is_applied(service: Harness, simulator: Simulator) -> None:
    await post(service, await paid_webhook(service, simulator))
    query = text("SELECT id FROM webhook_events")
    webhook_id = await service.service.database.read(lambda session: session.scalar(query))

    consumer = service.service.consumer()
    assert await cost(lambda: consumer.apply(str(webhook_id))) == (10, 1)
