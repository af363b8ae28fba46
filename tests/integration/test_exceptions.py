"""Money exceptions: listed, and resolved once, by a refund, another payment, or on purpose not."""

from typing import Any

import pytest

from tests.support.odd_money import ACCOUNT, PRICE, UNPAYABLE, OddMoney
from tests.support.simulator import Simulator

OUTCOMES = {"refund": "refunded", "apply": "applied", "keep": "kept"}


async def refunded_price(desk: OddMoney, *amounts: int) -> dict[str, Any]:
    """Make a payment whose price was given back, so that its order may be paid anew."""
    payment = await desk.paid(*amounts)
    path = f"/v1/payments/{payment['payment_id']}/refunds"
    body = {"amount": PRICE, "reason": "requested_by_customer", "destination": ACCOUNT}
    await desk.service.request("POST", path, body)
    await desk.service.settle()
    await desk.service.advance(10)
    return payment


MAKE: dict[str, Any] = {
    "late": lambda desk: desk.expired(late=PRICE),
    "underpaid": lambda desk: desk.expired(30),
    "underpaid_pending": lambda desk: desk.paid(30),
    "overpaid": lambda desk: refunded_price(desk, 130),
    "duplicate_transfer": lambda desk: refunded_price(desk, PRICE, PRICE),
    "provider_mismatch": lambda desk: desk.contradicted(),
    "refund_returned": lambda desk: desk.returned(),
}
HELD = {
    "late": PRICE, "underpaid": 30, "underpaid_pending": 30, "overpaid": 30,
    "duplicate_transfer": PRICE, "provider_mismatch": 0, "refund_returned": 40,
}  # fmt: skip
ALLOWED = {
    "late": ["refund", "apply", "keep"],
    "underpaid": ["refund", "apply", "keep"],
    "underpaid_pending": [],
    "overpaid": ["refund", "apply", "keep"],
    "duplicate_transfer": ["refund", "apply", "keep"],
    "provider_mismatch": ["keep"],
    "refund_returned": ["refund", "keep"],
}


async def target_of(desk: OddMoney, payment: dict[str, Any], amount: int = PRICE) -> dict[str, Any]:
    """Make a payment of the same order, or of another while the first still lives."""
    seen = await desk.service.get(payment["payment_id"])
    same = seen["status"] in {"expired", "failed", "refunded"}
    changes = {"order_reference": payment["order_reference"]} if same else {}
    return await desk.service.create(amount, **changes)


@pytest.mark.parametrize("action", OUTCOMES)
@pytest.mark.parametrize("kind", MAKE)
async def test_every_kind_can_be_resolved_as_it_says_and_no_other_way(
    desk: OddMoney, kind: str, action: str
) -> None:
    payment = await MAKE[kind](desk)
    exception = await desk.exception(payment)
    target = await target_of(desk, payment)
    status, received, unapplied, back = await desk.amounts(payment)
    held = HELD[kind]

    more = {"payment_id": target["payment_id"]} if action == "apply" else {}
    response = await desk.resolve(exception, action, **more)

    assert exception["code"] == kind.removesuffix("_pending")
    assert exception["allowed_actions"] == ALLOWED[kind]
    after = await desk.amounts(payment)
    if action not in ALLOWED[kind]:
        assert (response.status_code, response.json()["code"]) == (
            409, "EXCEPTION_ACTION_NOT_ALLOWED",
        )  # fmt: skip
        assert response.json()["allowed_actions"] == ALLOWED[kind]
        assert after == (status, received, unapplied, back)
        assert (await desk.exception(payment))["status"] == "open"
        return
    assert response.status_code == 200, response.text
    assert (response.json()["status"], response.json()["amount_available"]) == ("resolved", 0)
    assert response.json()["resolution"]["outcome"] == OUTCOMES[action]
    assert (await desk.service.get(payment["payment_id"]))["exceptions"] == []
    moved = held if action == "apply" else 0
    given_back = held if action == "refund" else 0
    assert after == (status, received - moved, unapplied - moved, back + given_back)
    if action == "apply":
        in_full = held == PRICE
        assert await desk.amounts(target) == ("paid" if in_full else "pending", held, 0, 0)
        assert response.json()["resolution"]["payment_id"] == target["payment_id"]


async def test_late_money_pays_a_new_payment_of_the_order_and_its_link_is_closed(
    desk: OddMoney, simulator: Simulator
) -> None:
    payment = await desk.expired(late=PRICE)
    exception = await desk.exception(payment)
    fresh = await desk.service.create(PRICE, order_reference=payment["order_reference"])

    await desk.resolve(exception, "apply", payment_id=fresh["payment_id"])

    assert await desk.amounts(payment) == ("expired", 0, 0, 0)
    assert await desk.amounts(fresh) == ("paid", PRICE, 0, 0)
    told = {name: [event["type"] for event in await desk.events(each)]
            for name, each in {"old": payment, "new": fresh}.items()}  # fmt: skip
    assert told["old"][-2:] == ["payment.exception", "payment.exception_resolved"]
    assert told["new"] == ["payment.created", "payment.paid"]
    (resolved,) = [event["data"] for event in await desk.events(payment)
                   if event["type"] == "payment.exception_resolved"]  # fmt: skip
    paid = (await desk.events(fresh))[-1]["data"]
    assert resolved["payment"]["amount_received"] == 0
    assert resolved["reallocation"] == paid["reallocation"]
    assert paid["reallocation"]["from_payment_id"] == payment["payment_id"]
    assert (resolved["exception"]["exception_id"], resolved["exception"]["in_time"]) == (
        exception["exception_id"], True,
    )  # fmt: skip
    assert resolved["exception"]["resolution"]["payment_id"] == fresh["payment_id"]
    assert simulator.link(fresh["provider_reference"])["status"] == "CANCELLED"


async def test_refund_of_applied_money_goes_to_the_account_that_had_paid(
    desk: OddMoney, simulator: Simulator
) -> None:
    payment = await desk.expired()
    await desk.pay(payment, PRICE, counter_account="0999888777")
    fresh = await desk.service.create(PRICE, order_reference=payment["order_reference"])
    await desk.resolve(await desk.exception(payment), "apply", payment_id=fresh["payment_id"])

    path = f"/v1/payments/{fresh['payment_id']}/refunds"
    body = {"amount": 10, "reason": "other", "destination": {"type": "source"}}
    refund = await desk.service.request("POST", path, body)

    assert refund.json()["destination"]["account_number_suffix"] == "8777"


async def test_second_payer_gets_the_second_transfer_back(desk: OddMoney) -> None:
    payment = await desk.service.create(PRICE)
    await desk.pay(payment, PRICE, counter_account="0111222333")
    await desk.pay(payment, PRICE, counter_account="0444555666")

    response = await desk.resolve(
        await desk.exception(payment), "refund", destination={"type": "source"}
    )

    refund_id = response.json()["resolution"]["refund_id"]
    path = f"/v1/payments/{payment['payment_id']}/refunds/{refund_id}"
    refund = (await desk.service.request("GET", path)).json()
    assert (refund["amount"], refund["reason"]) == (PRICE, "duplicate")
    assert refund["destination"]["account_number_suffix"] == "5666"
    await desk.service.settle()
    await desk.service.advance(10)
    # What was paid twice was given back: the payment is paid, not refunded.
    assert await desk.amounts(payment) == ("paid", 2 * PRICE, PRICE, PRICE)


async def test_applied_money_is_judged_like_a_transfer(desk: OddMoney) -> None:
    payment = await desk.expired(late=PRICE)
    fresh = await desk.service.create(60, order_reference=payment["order_reference"])

    await desk.resolve(await desk.exception(payment), "apply", payment_id=fresh["payment_id"])

    assert await desk.amounts(fresh) == ("paid", PRICE, 40, 0)
    over = await desk.exception(fresh)
    assert (over["code"], over["amount"], over["amount_available"]) == ("overpaid", 40, 40)
    assert over["receipt"]["amount"] == PRICE
    given_back = await desk.resolve(over, "refund")
    assert given_back.json()["resolution"]["amount"] == 40


async def test_money_that_was_applied_and_stays_short_can_be_applied_again(desk: OddMoney) -> None:
    order = {"order_reference": "order-chain"}
    first = await desk.expired(30, **order)
    second = await desk.service.create(PRICE, expires_in_seconds=60, **order)
    await desk.resolve(await desk.exception(first), "apply", payment_id=second["payment_id"])
    await desk.service.advance(61)
    third = await desk.service.create(30, **order)

    response = await desk.resolve(
        await desk.exception(second), "apply", payment_id=third["payment_id"]
    )

    assert response.status_code == 200, response.text
    assert await desk.amounts(first) == await desk.amounts(second) == ("expired", 0, 0, 0)
    assert await desk.amounts(third) == ("paid", 30, 0, 0)


async def test_underpaid_payment_that_expires_keeps_its_money_unapplied_until_decided(
    desk: OddMoney,
) -> None:
    payment = await desk.paid(10, 20, expires_in_seconds=60)
    before = await desk.amounts(payment)

    await desk.service.advance(61)

    assert before == ("pending", 30, 0, 0)
    assert await desk.amounts(payment) == ("expired", 30, 30, 0)
    seen = await desk.service.get(payment["payment_id"])
    assert seen["amounts"]["remaining"] == PRICE
    held = [(each["amount"], each["amount_available"]) for each in await desk.exceptions(payment)]
    assert held == [(90, 10), (70, 20)]
    for exception in await desk.exceptions(payment):
        assert (await desk.resolve(exception, "refund")).status_code == 200
    await desk.service.settle()
    await desk.service.advance(10)
    assert await desk.amounts(payment) == ("expired", 30, 30, 30)


async def test_underpaid_payment_that_is_completed_needs_no_decision(desk: OddMoney) -> None:
    payment = await desk.paid(30, 70)

    (exception,) = await desk.exceptions(payment)

    assert (exception["status"], exception["resolution"]["outcome"]) == ("resolved", "topped_up")
    assert exception["resolution"]["actor"] == "webhook"
    refused = await desk.resolve(exception, "keep")
    assert (refused.status_code, refused.json()["code"]) == (409, "EXCEPTION_ALREADY_RESOLVED")
    assert refused.json()["outcome"] == "topped_up"


@pytest.mark.parametrize(("destination", "state"), [(UNPAYABLE, None), (ACCOUNT, "REVERSED")])
async def test_exception_whose_refund_does_not_reach_the_payer_is_open_again(
    desk: OddMoney, simulator: Simulator, destination: Any, state: str | None
) -> None:
    payment = await desk.expired(late=PRICE)
    exception = await desk.exception(payment)
    response = await desk.resolve(exception, "refund", destination=destination)
    refund_id = response.json()["resolution"]["refund_id"]
    await desk.service.settle()
    await desk.service.advance(10)
    if state is not None:
        assert (await desk.exceptions(payment, status="open")) == []
        simulator.settle(f"{refund_id}-1", state)
        await desk.service.advance(7 * 3600)

    again = await desk.exception(payment)

    assert again == exception | {"refund_id": refund_id}
    failed = next(e for e in await desk.events(payment) if e["type"] == "refund.failed")
    assert failed["data"]["exception"]["exception_id"] == exception["exception_id"]
    assert "resolution" not in failed["data"]["exception"]
    assert (await desk.resolve(again, "refund")).status_code == 200
    await desk.service.settle()
    await desk.service.advance(10)
    assert await desk.amounts(payment) == ("expired", PRICE, PRICE, PRICE)


async def test_money_that_the_bank_returns_again_and_again_is_one_question(
    desk: OddMoney, simulator: Simulator
) -> None:
    payment = await desk.expired(late=PRICE)
    exception = await desk.exception(payment)

    for _ in range(2):
        response = await desk.resolve(await desk.exception(payment), "refund")
        refund_id = response.json()["resolution"]["refund_id"]
        await desk.service.settle()
        await desk.service.advance(10)
        simulator.settle(f"{refund_id}-1", "REVERSED")
        await desk.service.advance(7 * 3600)

    (again,) = await desk.exceptions(payment)
    assert again == exception | {"refund_id": refund_id}


async def test_part_of_the_money_can_go_back_and_never_more_than_it(desk: OddMoney) -> None:
    payment = await desk.expired(late=PRICE)
    exception = await desk.exception(payment)

    too_much = await desk.resolve(exception, "refund", amount=PRICE + 1)
    part = await desk.resolve(exception, "refund", amount=40)

    assert (too_much.status_code, too_much.json()["code"]) == (409, "REFUND_EXCEEDS_AVAILABLE")
    assert too_much.json()["available"] == PRICE
    assert part.json()["resolution"]["amount"] == 40
    assert await desk.amounts(payment) == ("expired", PRICE, PRICE, 40)


async def test_excess_never_takes_from_the_price(desk: OddMoney) -> None:
    payment = await desk.paid(130)
    path = f"/v1/payments/{payment['payment_id']}/refunds"
    body = {"amount": 20, "reason": "overpaid", "destination": ACCOUNT}
    await desk.service.request("POST", path, body)

    exception = await desk.exception(payment)

    assert (exception["amount"], exception["amount_available"]) == (30, 10)
    assert (await desk.resolve(exception, "refund", amount=11)).status_code == 409
    assert (await desk.resolve(exception, "refund")).json()["resolution"]["amount"] == 10


async def test_money_that_other_refunds_took_can_only_be_kept(desk: OddMoney) -> None:
    payment = await desk.expired(late=PRICE)
    path = f"/v1/payments/{payment['payment_id']}/refunds"
    body = {"amount": PRICE, "reason": "other", "destination": ACCOUNT}
    await desk.service.request("POST", path, body)
    exception = await desk.exception(payment)
    fresh = await desk.service.create(PRICE, order_reference=payment["order_reference"])

    refused = await desk.resolve(exception, "apply", payment_id=fresh["payment_id"])
    kept = await desk.resolve(exception, "keep")

    assert (exception["amount_available"], exception["allowed_actions"]) == (0, ["keep"])
    assert refused.json()["code"] == "EXCEPTION_ACTION_NOT_ALLOWED"
    assert kept.status_code == 200
    assert await desk.amounts(fresh) == ("pending", 0, 0, 0)


async def test_money_goes_to_a_pending_payment_of_the_same_order_only(desk: OddMoney) -> None:
    payment = await desk.expired(late=PRICE)
    exception = await desk.exception(payment)
    others = {
        "itself": payment,
        "another order": await desk.service.create(PRICE),
        "paid": await desk.paid(PRICE, order_reference=payment["order_reference"]),
    }

    for name, target in others.items():
        before = await desk.amounts(target)
        refused = await desk.resolve(exception, "apply", payment_id=target["payment_id"])
        assert (refused.status_code, refused.json()["code"]) == (
            409, "EXCEPTION_TARGET_NOT_ALLOWED",
        ), name  # fmt: skip
        assert await desk.amounts(target) == before

    missing = await desk.resolve(exception, "apply", payment_id="pay_" + "0" * 26)
    assert (missing.status_code, missing.json()["code"]) == (404, "NOT_FOUND")


async def test_whether_the_payer_kept_the_deadline_is_told(desk: OddMoney) -> None:
    payment = await desk.expired(late=PRICE)
    in_time = await desk.exception(payment)
    other = await desk.expired()
    desk.simulator.pay(other["provider_reference"], PRICE)
    await desk.tell(other, transactionDateTime="2099-01-01 00:00:00")

    too_late = await desk.exception(other)

    assert (in_time["code"], in_time["in_time"]) == ("late", True)
    assert (too_late["code"], too_late["in_time"]) == ("late", False)


async def test_decision_is_in_the_timeline_with_who_and_why(desk: OddMoney) -> None:
    payment = await desk.expired(late=PRICE)
    exception = await desk.exception(payment)

    await desk.resolve(exception, "refund", reason="too late for the concert")

    path = f"/v1/payments/{payment['payment_id']}/timeline"
    entries = (await desk.service.request("GET", path)).json()["entries"]
    told = {entry["action"]: entry for entry in entries}["payment.exception_resolved"]
    assert (told["actor"], told["actor_id"], told["reason"], told["amount"]) == (
        "client", "tester", "too late for the concert", PRICE,
    )  # fmt: skip
    assert told["exception_id"] == exception["exception_id"]
    assert told["refund_id"].startswith("ref_")
