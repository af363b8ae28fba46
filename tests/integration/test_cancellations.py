"""Cancellations: what their answer tells, and what becomes of requests that die."""

from typing import Any

import pytest

from payment_service.domain.idempotency import LEASE
from tests.support.death import death_at
from tests.support.links import rows
from tests.support.service import Harness
from tests.support.simulator import Simulator

OVER = LEASE.total_seconds() + 1
DEATHS = (
    "commit.cancel_payment.claim:after",
    "provider.cancel:before",
    "provider.cancel:after",
    "commit.cancel_payment.record:before",
)


async def key_states(service: Harness) -> list[str]:
    """List the states of the keys under which something was cancelled."""
    query = "SELECT state FROM idempotency_keys WHERE operation = 'cancelPayment'"
    return [state for (state,) in await rows(service, query)]


async def died(service: Harness, payment: dict[str, Any], point: str) -> str:
    """Have a request to cancel die; return its address."""
    path = f"/v1/payments/{payment['payment_id']}/cancel"
    with death_at(point):
        await service.request("POST", path, key="died")
    return path


async def test_answer_tells_the_open_questions_about_the_money(
    service: Harness, simulator: Simulator
) -> None:
    payment = await service.create(100)
    simulator.pay(payment["provider_reference"], 40)
    await service.deliver(simulator.webhook(payment["provider_reference"]))

    canceled = await service.request("POST", f"/v1/payments/{payment['payment_id']}/cancel")

    assert [each["code"] for each in canceled.json()["exceptions"]] == ["underpaid"]
    assert canceled.json() == await service.get(payment["payment_id"])


@pytest.mark.parametrize("point", DEATHS)
async def test_key_of_a_request_that_died_is_answered_once_the_payment_has_ended(
    service: Harness, point: str
) -> None:
    payment = await service.create(expires_in_seconds=600)
    path = await died(service, payment, point)

    await service.advance(OVER)
    await service.advance(1200)

    assert await key_states(service) == ["done"]
    ended = await service.get(payment["payment_id"])
    retry = await service.request("POST", path, key="died")
    assert retry.headers["idempotent-replayed"] == "true"
    if ended["status"] == "failed":
        assert (retry.status_code, retry.json()) == (200, ended)
    else:
        assert (retry.status_code, retry.json()["current_status"]) == (409, "expired")


async def test_key_is_free_for_a_retry_while_the_payment_is_pending(
    service: Harness,
) -> None:
    """The merchant was promised nothing: nobody else cancels."""
    payment = await service.create()
    path = await died(service, payment, "provider.cancel:before")

    await service.advance(OVER)
    await service.advance(10)
    pending = await service.get(payment["payment_id"])
    left = await key_states(service)
    retry = await service.request("POST", path, key="died")

    assert (pending["status"], left) == ("pending", ["in_progress"])
    assert (retry.status_code, retry.json()["failure_reason"]) == (200, "canceled")


async def test_request_that_still_works_is_not_answered_for(service: Harness) -> None:
    payment = await service.create()
    await died(service, payment, "provider.cancel:after")
    await service.request("POST", f"/v1/payments/{payment['payment_id']}/cancel")

    await service.settle()

    assert sorted(await key_states(service)) == ["done", "in_progress"]
