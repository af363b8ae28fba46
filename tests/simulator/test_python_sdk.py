"""The official Python SDK passes every call against the simulator."""

import time
from typing import Any

import payos
import pytest
from payos.types import (
    CreatePaymentLinkRequest,
    GetPayoutListParams,
    PayoutBatchItem,
    PayoutBatchRequest,
    PayoutRequest,
)

from tests.support.simulator import PAYMENT, PAYOUT, Simulator


@pytest.fixture
def merchant(simulator: Simulator) -> Any:
    client = payos.PayOS(*_keys(PAYMENT), base_url=simulator.base_url)
    yield client
    client.close()


@pytest.fixture
def treasurer(simulator: Simulator) -> Any:
    client = payos.PayOS(*_keys(PAYOUT), base_url=simulator.base_url)
    yield client
    client.close()


def _keys(channel: Any) -> tuple[str, str, str]:
    return channel.client_id, channel.api_key, channel.checksum_key


def link_request() -> CreatePaymentLinkRequest:
    return CreatePaymentLinkRequest(
        order_code=time.time_ns() // 1000,
        amount=2000,
        description="DH1001",
        cancel_url="https://shop.example/cancel",
        return_url="https://shop.example/return",
    )


def test_links_are_created_read_paid_and_invoiced(merchant: Any, simulator: Simulator) -> None:
    made = merchant.payment_requests.create(link_request())
    simulator.pay(made.order_code)
    seen = merchant.payment_requests.get(made.order_code)
    by_name = merchant.payment_requests.get(made.payment_link_id)
    invoices = merchant.payment_requests.invoices.get(made.order_code)
    paper = merchant.payment_requests.invoices.download(
        invoices.invoices[0].invoice_id, made.order_code
    )

    assert (made.status, seen.status, seen.amount_paid) == ("PENDING", "PAID", 2000)
    assert by_name.order_code == made.order_code
    assert paper.data.startswith(b"%PDF")


@pytest.mark.parametrize("reason", ["out of stock", None])
def test_links_are_cancelled(merchant: Any, reason: str | None) -> None:
    made = merchant.payment_requests.create(link_request())

    closed = merchant.payment_requests.cancel(made.order_code, reason)

    assert (closed.status, closed.cancellation_reason) == ("CANCELLED", reason)


def test_order_code_is_used_once(merchant: Any) -> None:
    request = link_request()
    merchant.payment_requests.create(request)

    with pytest.raises(payos.APIError) as caught:
        merchant.payment_requests.create(request)

    assert caught.value.error_code == "231"


def test_webhooks_verify(merchant: Any, simulator: Simulator) -> None:
    made = merchant.payment_requests.create(link_request())
    simulator.pay(made.order_code)

    verified = merchant.webhooks.verify(simulator.webhook(made.order_code))

    assert (verified.order_code, verified.amount) == (made.order_code, 2000)


def test_payouts_are_made_listed_and_read(treasurer: Any) -> None:
    reference = f"refund-{time.time_ns()}"
    item = {"amount": 2000, "description": "hoan tien", "to_bin": "970422",
            "to_account_number": "0123456789"}  # fmt: skip
    one = treasurer.payouts.create(
        PayoutRequest(reference_id=reference, category=["refund"], **item)
    )
    several = treasurer.payouts.batch.create(
        PayoutBatchRequest(
            reference_id=f"{reference}-b",
            category=None,
            validate_destination=False,
            payouts=[PayoutBatchItem(reference_id=f"{reference}-{n}", **item) for n in (1, 2)],
        )
    )
    seen = treasurer.payouts.get(one.id)
    asked = GetPayoutListParams(reference_id=reference, limit=50)  # others have made theirs
    listed = [payout.reference_id for payout in treasurer.payouts.list(asked)]
    credit = treasurer.payouts.estimate_credit(
        PayoutRequest(reference_id=reference, category=None, **item)
    )
    balance = treasurer.payouts_account.balance()

    assert seen.transactions[0].state == "SUCCEEDED"
    assert len(several.transactions) == 2
    assert listed == [reference]
    assert credit.estimate_credit == 2000
    assert int(balance.balance) > 0


async def test_asynchronous_client_passes_too(simulator: Simulator) -> None:
    async with payos.AsyncPayOS(*_keys(PAYMENT), base_url=simulator.base_url) as merchant:
        made = await merchant.payment_requests.create(link_request())
        seen = await merchant.payment_requests.get(made.order_code)
        simulator.pay(made.order_code)
        verified = await merchant.webhooks.verify(simulator.webhook(made.order_code))
        closed = await merchant.payment_requests.create(link_request())
        closed = await merchant.payment_requests.cancel(closed.order_code, "why not")

    assert seen.id == made.payment_link_id
    assert verified.order_code == made.order_code
    assert closed.status == "CANCELLED"


def test_wrong_checksum_key_is_noticed_on_both_sides(simulator: Simulator) -> None:
    client = payos.PayOS(PAYMENT.client_id, PAYMENT.api_key, "wrong", base_url=simulator.base_url)
    with client, pytest.raises(payos.APIError) as caught:
        client.payment_requests.create(link_request())

    assert caught.value.error_code == "201"
