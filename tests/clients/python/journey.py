"""A whole journey with the generated client: pay, refund, list, and one request too many."""

import json
import os
import sys
import time
from collections.abc import Iterator

import httpx
from payment_service_client import AuthenticatedClient
from payment_service_client.api.payments import create_payment, get_payment, list_payments
from payment_service_client.api.refunds import create_refund, get_refund
from payment_service_client.models import (
    CreatePaymentRequest,
    CreateRefundRequest,
    Currency,
    Payment,
    PaymentPage,
    PaymentStatus,
    Problem,
    Refund,
    RefundReason,
    RefundStatus,
    SourceDestination,
)
from payment_service_client.types import UNSET, Unset

WAIT_SECONDS = 60


def main() -> None:
    """Go the journey, and print what was seen on the way as JSON."""
    order = f"python-{time.time_ns()}"
    client = AuthenticatedClient(
        base_url=os.environ["PAYMENTS_URL"],
        token=os.environ["PAYMENTS_TOKEN"],
        timeout=httpx.Timeout(20),
        httpx_args={"trust_env": False},
    )

    first, _ = create(client, order, key=f"pay-{order}")
    again, replayed = create(client, order, key=f"pay-{order}")
    assert isinstance(first.checkout_url, str)
    httpx.post(f"{first.checkout_url}/pay", trust_env=False)  # what the payer does
    paid = wait_until_paid(client, first.payment_id)

    refund = refund_of(client, paid.payment_id, amount=20_000)
    assert isinstance(refund, Refund), refund
    settled = wait_until_settled(client, refund)
    refused = refund_of(client, paid.payment_id, amount=40_000)
    assert isinstance(refused, Problem), refused

    for number in range(2):
        create(client, f"{order}-{number}", key=f"pay-{order}-{number}")
    pages = list(all_pages(client))

    json.dump({
        "payment_id": first.payment_id,
        "repeated_payment_id": again.payment_id,
        "replayed": replayed,
        "status": paid.status.value,
        "received": paid.amounts.received,
        "refund_id": refund.refund_id,
        "refund_status": settled.status.value,
        "listed": [payment.payment_id for page in pages for payment in page.data],
        "pages": len(pages),
        "problem": refused.code,
        "problem_status": refused.status,
        "problem_type": refused.type_,
        "retryable": refused.retryable,
        "available": refused.available,
    }, sys.stdout)  # fmt: skip


def create(client: AuthenticatedClient, order: str, *, key: str) -> tuple[Payment, bool]:
    """Ask for 45,000 VND; return the payment, and whether the answer is an old one."""
    response = create_payment.sync_detailed(
        client=client,
        idempotency_key=key,
        body=CreatePaymentRequest(
            amount=45_000,
            currency=Currency.VND,
            order_reference=order,
            return_url="https://shop.example/thanks",
            cancel_url="https://shop.example/cart",
        ),
    )
    assert isinstance(response.parsed, Payment), response.parsed
    return response.parsed, response.headers.get("Idempotent-Replayed") == "true"


def wait_until_paid(client: AuthenticatedClient, payment_id: str) -> Payment:
    """Read the payment until the money is there."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        payment = get_payment.sync(payment_id, client=client)
        assert isinstance(payment, Payment), payment
        if payment.status is PaymentStatus.PAID:
            return payment
        time.sleep(0.2)
    raise TimeoutError("it was not paid")


def refund_of(client: AuthenticatedClient, payment_id: str, *, amount: int) -> Refund | Problem:
    """Give some of it back to the account that paid."""
    answer = create_refund.sync(
        payment_id,
        client=client,
        idempotency_key=f"refund-{payment_id}-{amount}",
        body=CreateRefundRequest(
            amount=amount,
            reason=RefundReason.REQUESTED_BY_CUSTOMER,
            destination=SourceDestination(type_="source"),
        ),
    )
    assert answer is not None
    return answer


def wait_until_settled(client: AuthenticatedClient, refund: Refund) -> Refund:
    """Read the refund until it is final."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        seen = get_refund.sync(refund.payment_id, refund.refund_id, client=client)
        assert isinstance(seen, Refund), seen
        if seen.status is not RefundStatus.PENDING:
            return seen
        time.sleep(0.2)
    raise TimeoutError("it was not settled")


def all_pages(client: AuthenticatedClient) -> Iterator[PaymentPage]:
    """Follow the cursor to the end."""
    cursor: str | Unset = UNSET
    while True:
        page = list_payments.sync(client=client, limit=2, cursor=cursor)
        assert isinstance(page, PaymentPage), page
        yield page
        if page.next_cursor is None:
            return
        cursor = page.next_cursor


main()
