"""Refunds: reserved at once, paid out in the background, never more than was received."""

import asyncio
from typing import Any

from payment_service.storage import refunds
from tests.support.service import Harness
from tests.support.simulator import Simulator

ACCOUNT = {"type": "bank_account", "bank_bin": "970422", "account_number": "0123456789"}


async def paid_payment(service: Harness, simulator: Simulator, amount: int = 100) -> dict[str, Any]:
    payment = await service.create(amount)
    simulator.pay(payment["provider_reference"])
    await service.deliver(simulator.webhook(payment["provider_reference"]))
    return payment


async def paid_out(service: Harness) -> None:
    """Let payouts be sent, and then be asked about."""
    await service.settle()
    await service.advance(10)


def refund(amount: int, **changes: Any) -> dict[str, Any]:
    return {"amount": amount, "reason": "requested_by_customer", "destination": ACCOUNT} | changes


async def test_refund_is_paid_out_and_moves_the_payment(
    service: Harness, simulator: Simulator
) -> None:
    payment = await paid_payment(service, simulator, 100)
    path = f"/v1/payments/{payment['payment_id']}/refunds"

    first = await service.request("POST", path, refund(40, destination={"type": "source"}))
    await paid_out(service)
    part = await service.get(payment["payment_id"])
    await service.request("POST", path, refund(60))
    await paid_out(service)
    whole = await service.get(payment["payment_id"])

    assert first.status_code == 201, first.text
    assert first.json()["destination"]["account_number_suffix"] == "6789"
    assert (part["status"], part["amounts"]["refunded"]) == ("partially_refunded", 40)
    assert (whole["status"], whole["amounts"]["refunded"]) == ("refunded", 100)
    payouts = [p for p in simulator.ledger()["payouts"].values()
               if p["reference"].startswith(first.json()["refund_id"])]  # fmt: skip
    assert [(p["amount"], p["state"]) for p in payouts] == [(40, "SUCCEEDED")]
    # Made of the refund's name, not of chance: what is sent again after a crash is the same.
    key = f"{first.json()['refund_id']}-1"
    assert [(p["reference"], p["idempotency_key"]) for p in payouts] == [(key, key)]


async def test_concurrent_refunds_never_exceed_what_was_received(
    service: Harness, simulator: Simulator
) -> None:
    payment = await paid_payment(service, simulator, 100)
    path = f"/v1/payments/{payment['payment_id']}/refunds"

    responses = await asyncio.gather(
        *(service.request("POST", path, refund(60)) for _ in range(20))
    )

    statuses = sorted(response.status_code for response in responses)
    assert statuses == [201] + [409] * 19
    refused = next(r for r in responses if r.status_code == 409).json()
    assert (refused["code"], refused["available"]) == ("REFUND_EXCEEDS_AVAILABLE", 40)


async def test_reservation_itself_holds_the_bound(service: Harness, simulator: Simulator) -> None:
    """Whatever was read before: the UPDATE looks at the row as it is."""
    payment = await paid_payment(service, simulator, 100)

    async def reserve(amount: int) -> bool:
        return await service.service.database.transact(
            "test", lambda session: refunds.reserve(session, payment["payment_id"], amount)
        )

    too_much, all_of_it = await reserve(101), await reserve(100)
    one_more, back = await reserve(1), await reserve(-100)

    assert (too_much, all_of_it, one_more, back) == (False, True, False, True)


async def test_source_that_is_not_known_is_refused(service: Harness, simulator: Simulator) -> None:
    payment = await service.create(100)
    unknown = {"counter_bank": "01202001", "counter_account": "", "counter_name": ""}
    simulator.pay(payment["provider_reference"], **unknown)
    await service.deliver(simulator.webhook(payment["provider_reference"]))

    response = await service.request(
        "POST",
        f"/v1/payments/{payment['payment_id']}/refunds",
        refund(10, destination={"type": "source"}),
    )

    assert (response.status_code, response.json()["code"]) == (409, "REFUND_DESTINATION_REQUIRED")


async def test_failed_payout_gives_the_reserve_back(service: Harness, simulator: Simulator) -> None:
    payment = await paid_payment(service, simulator, 100)
    path = f"/v1/payments/{payment['payment_id']}/refunds"
    unpayable = ACCOUNT | {"account_number": "0004040000"}

    made = await service.request("POST", path, refund(40, destination=unpayable))
    await paid_out(service)

    seen = (await service.request("GET", f"{path}/{made.json()['refund_id']}")).json()
    assert (seen["status"], seen["failure_reason"]) == ("failed", "destination_invalid")
    amounts = (await service.get(payment["payment_id"]))["amounts"]
    assert (amounts["refund_pending"], amounts["refunded"]) == (0, 0)


async def test_empty_wallet_is_waited_for(service: Harness, simulator: Simulator) -> None:
    payment = await paid_payment(service, simulator, 100)
    path = f"/v1/payments/{payment['payment_id']}/refunds"
    simulator.modes(wallet=0)

    made = await service.request("POST", path, refund(40))
    await service.settle()
    waiting = (await service.request("GET", f"{path}/{made.json()['refund_id']}")).json()
    simulator.modes(wallet=1000)
    await service.advance(120)
    await service.advance(120)
    done = (await service.request("GET", f"{path}/{made.json()['refund_id']}")).json()

    assert (waiting["status"], waiting["pending_reason"]) == ("pending", "insufficient_funds")
    assert done["status"] == "succeeded"


async def test_refund_that_the_bank_returns_is_open_again(
    service: Harness, simulator: Simulator
) -> None:
    payment = await paid_payment(service, simulator, 100)
    path = f"/v1/payments/{payment['payment_id']}/refunds"
    made = (await service.request("POST", path, refund(40))).json()
    await paid_out(service)
    simulator.settle(f"{made['refund_id']}-1", "REVERSED")

    await service.advance(7 * 3600)

    seen = (await service.request("GET", f"{path}/{made['refund_id']}")).json()
    assert (seen["status"], seen["failure_reason"]) == ("failed", "returned")
    back = await service.get(payment["payment_id"])
    assert (back["status"], back["amounts"]["refunded"]) == ("paid", 0)
    assert [entry["code"] for entry in back["exceptions"]] == ["refund_returned"]


async def test_lost_answer_of_a_payout_never_pays_twice(
    service: Harness, simulator: Simulator
) -> None:
    payment = await paid_payment(service, simulator, 100)
    path = f"/v1/payments/{payment['payment_id']}/refunds"
    simulator.fault("broken_after", path="/v1/payouts", method="POST")

    made = (await service.request("POST", path, refund(40))).json()
    await paid_out(service)

    payouts = [p for p in simulator.ledger()["payouts"].values()
               if p["reference"].startswith(made["refund_id"])]  # fmt: skip
    assert len(payouts) == 1
    seen = (await service.request("GET", f"{path}/{made['refund_id']}")).json()
    assert seen["status"] == "succeeded"


async def test_pending_payment_is_not_refunded_whatever_was_received(
    service: Harness, simulator: Simulator
) -> None:
    """The payer may complete it; the merchant may cancel it, and then decide about its money."""
    payment = await service.create(100)
    path = f"/v1/payments/{payment['payment_id']}/refunds"
    simulator.pay(payment["provider_reference"], 40)
    await service.deliver(simulator.webhook(payment["provider_reference"]))

    early = await service.request("POST", path, refund(40))
    simulator.pay(payment["provider_reference"], 60)
    await service.deliver(simulator.webhook(payment["provider_reference"]))
    again = await service.request("POST", path, refund(40))

    assert (early.status_code, early.json()["code"]) == (409, "INVALID_STATE_TRANSITION")
    assert early.json()["current_status"] == "pending"
    assert again.status_code == 201
    assert (await service.get(payment["payment_id"]))["status"] == "paid"


async def test_money_of_an_underpaid_payment_goes_back_once_it_is_cancelled(
    service: Harness, simulator: Simulator
) -> None:
    payment = await service.create(100)
    simulator.pay(payment["provider_reference"], 40)
    await service.deliver(simulator.webhook(payment["provider_reference"]))
    await service.request("POST", f"/v1/payments/{payment['payment_id']}/cancel")

    made = await service.request(
        "POST", f"/v1/payments/{payment['payment_id']}/refunds", refund(40)
    )
    await paid_out(service)

    seen = await service.get(payment["payment_id"])
    assert made.status_code == 201
    assert (seen["status"], seen["amounts"]["refunded"]) == ("failed", 40)
