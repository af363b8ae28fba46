"""Links that were closed because their QR code was lost: money may reach them all the same."""

from typing import Any

import pytest

from payment_service.domain.idempotency import LEASE
from payment_service.ledger.links import settle_link
from payment_service.storage import payments
from payment_service.storage.database import Session
from payment_service.use_cases.check_payment import check_payment
from payment_service.use_cases.create_payment import COMPLETER
from tests.support.death import death_at
from tests.support.links import checkout_of, events, links, only_payment, order_codes, rows
from tests.support.service import Harness, order
from tests.support.simulator import Simulator

OVER = LEASE.total_seconds() + 1
LINK = r"/v2/payment-requests/\d+"


async def replaced(service: Harness, **changes: Any) -> tuple[str, int, int]:
    """Make a payment whose first link was replaced; return its id and both order codes."""
    with death_at("provider.create:after"):
        await service.request("POST", "/v1/payments", order(100, **changes))
    payment_id = await only_payment(service)
    await service.advance(OVER)
    first, second = await order_codes(service, payment_id)
    return payment_id, first, second


async def test_money_that_nobody_tells_of_is_found_while_the_payment_is_pending(
    service: Harness, simulator: Simulator
) -> None:
    payment_id, first, _ = await replaced(service)
    simulator.pay(first)

    await service.advance(31)

    paid = await service.get(payment_id)
    assert (paid["status"], paid["amounts"]["received"]) == ("paid", 100)
    assert await events(service, payment_id) == ["payment.created", "payment.paid"]


async def test_link_that_is_live_is_closed_at_once_when_the_replaced_one_was_paid(
    service: Harness, simulator: Simulator
) -> None:
    payment_id, first, second = await replaced(service)
    simulator.pay(first)

    await service.deliver(simulator.webhook(first))

    assert (await service.get(payment_id))["status"] == "paid"
    assert simulator.link(second)["status"] == "CANCELLED"


async def test_money_that_was_there_at_the_deadline_pays_the_payment(
    service: Harness, simulator: Simulator
) -> None:
    payment_id, first, _ = await replaced(service, expires_in_seconds=300)
    await service.advance(200)
    simulator.pay(first)

    await service.advance(100)

    assert (await service.get(payment_id))["status"] == "paid"


async def test_money_that_comes_a_day_later_is_found(
    service: Harness, simulator: Simulator
) -> None:
    payment_id, first, _ = await replaced(service, expires_in_seconds=300)
    await service.advance(300)
    simulator.pay(first)

    for _ in range(5):
        await service.advance(12 * 3600)

    late = await service.get(payment_id)
    assert (late["status"], late["amounts"]["unapplied"]) == ("expired", 100)
    assert [each["code"] for each in late["exceptions"]] == ["late"]


async def test_replaced_link_that_is_not_answered_for_holds_nothing_up_and_is_asked_about_again(
    service: Harness, simulator: Simulator
) -> None:
    payment_id, first, second = await replaced(service)
    simulator.pay(first)
    silence = {"path": rf"/v2/payment-requests/{first}", "method": "GET", "times": 1}
    simulator.fault("code_before", code="999", **silence)
    simulator.pay(second, 10)

    await service.advance(31)
    early = await service.get(payment_id)
    await service.advance(61)

    assert (early["status"], early["amounts"]["received"]) == ("pending", 10)
    assert (await service.get(payment_id))["amounts"]["received"] == 110


@pytest.mark.parametrize("other", ["open", "closed"])
async def test_news_that_comes_late_does_not_open_a_replaced_link_again(
    service: Harness, simulator: Simulator, other: str
) -> None:
    payment_id, first, second = await replaced(service)
    if other == "closed":
        simulator.pay(second)
        await service.deliver(simulator.webhook(second))
    simulator.pay(first, 10)
    seen = await service.service.provider.get_payment(first)

    async def settle(session: Session) -> None:
        payment = await payments.lock_payment(session, payment_id)
        attempt = await payments.find_attempt_by_order_code(session, first)
        assert attempt is not None
        await settle_link(session, payment, attempt, seen, actor=COMPLETER, now=service.clock())

    await service.service.database.transact("test", settle)

    query = "SELECT state FROM payment_attempts WHERE payment_id = :id ORDER BY number"
    states = [state for (state,) in await rows(service, query, id=payment_id)]
    assert states == ["closed", other]


async def test_link_of_somebody_else_is_not_asked_about(
    service: Harness, simulator: Simulator
) -> None:
    with death_at("provider.create:before"):
        await service.request("POST", "/v1/payments", order(100))
    payment_id = await only_payment(service)
    (foreign,) = await order_codes(service, payment_id)
    await service.service.provider.create_payment(checkout_of(service, foreign, amount=7))
    await service.advance(OVER)
    simulator.pay(foreign)

    await service.advance(31)

    assert await links(service, simulator, payment_id) == ["PAID", "PENDING"]
    assert (await service.get(payment_id))["amounts"]["received"] == 0


@pytest.mark.parametrize("links_made", [1, 2])
async def test_calls_for_replaced_links_are_paid_from_the_budget(
    service: Harness, links_made: int
) -> None:
    payment_id = (
        (await replaced(service))[0] if links_made > 1 else (await service.create())["payment_id"]
    )
    spent: list[int] = []
    service.clock.advance(LEASE * 2)
    inside = service.service

    await check_payment(
        inside.database, inside.provider, inside.clock, payment_id, spend=spent.append
    )

    assert spent == [links_made - 1]
