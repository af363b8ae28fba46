"""Exceptions under concurrency: decided once, and no dong is given away twice."""

import asyncio
from collections import Counter
from typing import Any

from payment_service.domain.audit import Actor, ActorKind
from payment_service.domain.errors import ExceptionAlreadyResolved
from payment_service.storage import exceptions, payments
from payment_service.storage.exceptions import Filters
from payment_service.use_cases.resolve_exception import (
    Apply,
    Keep,
    ResolveException,
    resolve_exception_by_hand,
)
from tests.support.odd_money import ACCOUNT, PRICE, OddMoney


async def test_of_twenty_decisions_one_counts_and_the_others_learn_of_it(desk: OddMoney) -> None:
    payment = await desk.expired(late=PRICE)
    exception = await desk.exception(payment)
    fresh = await desk.service.create(PRICE, order_reference=payment["order_reference"])
    decisions: list[tuple[str, dict[str, Any]]] = [
        ("refund", {}),
        ("keep", {}),
        ("apply", {"payment_id": fresh["payment_id"]}),
        ("refund", {"amount": 60}),
    ] * 5

    responses = await asyncio.gather(
        *(desk.resolve(exception, action, **more) for action, more in decisions)
    )

    codes = Counter(
        response.json().get("code") if response.status_code == 409 else response.status_code
        for response in responses
    )
    assert codes == {200: 1, "EXCEPTION_ALREADY_RESOLVED": 19}
    (winner,) = [response.json() for response in responses if response.status_code == 200]
    told = {response.json()["outcome"] for response in responses if response.status_code == 409}
    assert told == {winner["resolution"]["outcome"]}
    (resolved,) = [e for e in await desk.events(payment)
                   if e["type"] == "payment.exception_resolved"]  # fmt: skip
    assert resolved["data"]["exception"]["resolution"]["outcome"] in told


async def test_money_is_not_applied_elsewhere_and_refunded_as_well(desk: OddMoney) -> None:
    payment = await desk.expired(late=PRICE)
    exception = await desk.exception(payment)
    fresh = await desk.service.create(PRICE, order_reference=payment["order_reference"])
    path = f"/v1/payments/{payment['payment_id']}/refunds"
    body = {"amount": 30, "reason": "other", "destination": ACCOUNT}

    refunds = [desk.service.request("POST", path, body) for _ in range(8)]
    moves = [desk.resolve(exception, "apply", payment_id=fresh["payment_id"])]
    responses = await asyncio.gather(*refunds[:4], *moves, *refunds[4:])

    statuses = {response.status_code for response in responses}
    assert statuses <= {200, 201, 409}
    _, received, _, back = await desk.amounts(payment)
    _, moved, _, _ = await desk.amounts(fresh)
    promised = 30 * sum(response.status_code == 201 for response in responses)
    assert back == promised <= received
    assert received + moved == PRICE


async def test_money_from_two_payments_meets_in_one(desk: OddMoney) -> None:
    order = {"order_reference": "order-twice-late"}
    late = [await desk.expired(late=PRICE, **order) for _ in range(2)]
    found = [await desk.exception(payment) for payment in late]
    fresh = await desk.service.create(150, **order)

    responses = await asyncio.gather(
        *(desk.resolve(each, "apply", payment_id=fresh["payment_id"]) for each in found)
    )

    # Who comes second finds the payment short or settled; if settled it takes no more.
    assert [response.status_code for response in responses] == [200, 200]
    assert await desk.amounts(fresh) == ("paid", 200, 50, 0)


async def test_payer_and_desk_may_pay_at_the_same_time(desk: OddMoney) -> None:
    payment = await desk.expired(late=PRICE)
    exception = await desk.exception(payment)
    fresh = await desk.service.create(PRICE, order_reference=payment["order_reference"])

    _, response = await asyncio.gather(
        desk.pay(fresh, PRICE),
        desk.resolve(exception, "apply", payment_id=fresh["payment_id"]),
    )

    status, received, _, _ = await desk.amounts(fresh)
    assert status == "paid"
    if response.status_code == 200:  # the desk was first, so the transfer is one too many
        assert received == 2 * PRICE
        assert (await desk.exception(fresh))["code"] == "duplicate_transfer"
    else:
        assert response.json()["code"] == "EXCEPTION_TARGET_NOT_ALLOWED"
        assert received == PRICE


async def test_operators_who_decide_about_nobodys_money_at_once_decide_once(
    desk: OddMoney,
) -> None:
    await desk.unmatched()
    targets = [await desk.service.create(PRICE) for _ in range(4)]
    service = desk.service.service
    (case,) = await service.database.read(
        lambda session: exceptions.list_cases(session, Filters(code="unmatched"), limit=2)
    )
    decisions = [*(Apply(target["payment_id"]) for target in targets), *[Keep()] * 8]

    async def decide(decision: Apply | Keep) -> object:
        command = ResolveException(
            exception_id=case.exception.id, tenant_id=None, decision=decision,
            actor=Actor(ActorKind.OPERATOR, "mai"), reason="r",
        )  # fmt: skip
        return await resolve_exception_by_hand(
            service.database, service.provider, service.clock, command
        )

    results = await asyncio.gather(*map(decide, decisions), return_exceptions=True)

    kinds = Counter(type(result) for result in results)
    assert kinds == {exceptions.Case: 1, ExceptionAlreadyResolved: len(decisions) - 1}
    received = [(await desk.amounts(target))[1] for target in targets]
    (winner,) = [result for result in results if isinstance(result, exceptions.Case)]
    assert sum(received) == (PRICE if winner.exception.resolution == "applied" else 0)


async def test_money_that_is_promised_cannot_be_moved(desk: OddMoney) -> None:
    payment = await desk.expired(late=PRICE)
    path = f"/v1/payments/{payment['payment_id']}/refunds"
    body = {"amount": 60, "reason": "other", "destination": ACCOUNT}
    await desk.service.request("POST", path, body)
    transact = desk.service.service.database.transact

    async def move(amount: int, released: int) -> bool:
        return await transact("test", lambda session: payments.move_out(
            session, payment["payment_id"], amount=amount, released=released
        ))  # fmt: skip

    assert [await move(41, 0), await move(10, 1)] == [False, False]
    assert await desk.amounts(payment) == ("expired", PRICE, PRICE, 60)
