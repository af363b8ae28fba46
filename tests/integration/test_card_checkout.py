"""Payments by card on Stripe, from the order to the refund, through the same use cases as payOS."""

import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from stripe import WebhookSignature

from payment_service.providers.provider import RequestRejected
from payment_service.providers.stripe.webhooks import EVENTS
from tests.support.leaks import listening
from tests.support.links import rows
from tests.support.service import Harness, environment, order, running_service
from tests.support.simulator import Simulator
from tests.support.stripe_simulator import (
    WEBHOOK_SECRET,
    Delivery,
    StripeSimulator,
    running_stripe,
)

PATH = "/v1/webhooks/stripe"


@pytest.fixture
def stripe() -> Iterator[StripeSimulator]:
    """A Stripe of its own for every test: its time is moved on."""
    with running_stripe() as simulator:
        yield simulator


@pytest.fixture
async def shop(stripe: StripeSimulator, tmp_path: Path) -> AsyncIterator[Harness]:
    """A service on Stripe; at the end its money adds up, and it gave nothing away."""
    async with serving(stripe, f"sqlite+aiosqlite:///{tmp_path}/payments.db") as harness:
        yield harness


@asynccontextmanager
async def serving(stripe: StripeSimulator, database_url: str) -> AsyncIterator[Harness]:
    async with running_service(environment(database_url, stripe.environment)) as harness:
        with listening(harness) as leaks:
            yield harness
            await harness.settle()
        assert await harness.violations() == []
        assert leaks.found(harness) == []


async def deliver(shop: Harness, *deliveries: Delivery) -> list[int]:
    """Post webhooks, and let them be applied."""
    statuses = []
    for headers, body in deliveries:
        response = await shop.http.post(PATH, content=body, headers=headers)
        statuses.append(response.status_code)
        await shop.settle()
    return statuses


async def pass_time(shop: Harness, stripe: StripeSimulator, seconds: float) -> None:
    stripe.advance(seconds)
    await shop.advance(seconds)


async def pay(shop: Harness, stripe: StripeSimulator, card: str = "good") -> dict[str, Any]:
    """Create a payment, try a card on it, and let Stripe tell everything about that."""
    payment = await shop.create()
    code = payment["provider_reference"]
    stripe.pay(code, card)
    assert set(await deliver(shop, *stripe.events(about=code))) == {200}
    return payment


async def refund(shop: Harness, payment: dict[str, Any], amount: int, **more: Any) -> Any:
    body = {"amount": amount, "reason": "requested_by_customer", "destination": {"type": "source"}}
    path = f"/v1/payments/{payment['payment_id']}/refunds"
    return await shop.request("POST", path, body | more)


async def webhook_reasons(shop: Harness) -> dict[bool, str | None]:
    """Read why webhooks were not applied, by whether they are known to be about a payment."""
    query = "SELECT payment_id IS NOT NULL, reason FROM webhook_events WHERE status = 'ignored'"
    return {bool(about): reason for about, reason in await rows(shop, query + " ORDER BY id DESC")}


async def test_payment_is_made_paid_and_refunded_in_parts(
    stripe: StripeSimulator, database_url: str
) -> None:
    async with serving(stripe, database_url) as shop:
        payment = await shop.create()
        async with httpx.AsyncClient(trust_env=False) as browser:
            url = payment["checkout_url"].replace("http://stripe.test", stripe.base_url)
            page = await browser.get(url)
        code = payment["provider_reference"]
        stripe.pay(code)
        assert await deliver(shop, *stripe.events("charge.succeeded", about=code)) == [200]
        paid = await shop.get(payment["payment_id"])
        first = await refund(shop, payment, 15_000)
        await shop.settle()
        part = await shop.get(payment["payment_id"])
        await refund(shop, payment, 30_000)
        await shop.settle()
        whole = await shop.get(payment["payment_id"])
        too_much = await refund(shop, payment, 1)

    assert "45.000" in page.text
    assert (payment["qr_code"], payment["qr_url"], payment["provider"]) == (None, None, "stripe")
    assert (paid["status"], paid["checkout_url"], paid["exceptions"]) == ("paid", None, [])
    assert first.json()["destination"] == {
        "type": "source",
        "bank_bin": None,
        "account_number_suffix": "4242",
    }
    assert (part["status"], part["amounts"]["refunded"]) == ("partially_refunded", 15_000)
    assert (whole["status"], whole["amounts"]["refunded"]) == ("refunded", 45_000)
    assert too_much.json()["code"] == "REFUND_EXCEEDS_AVAILABLE"
    given_back = sorted(entry["amount"] for entry in stripe.ledger()["refunds"].values())
    assert given_back == [15_000, 30_000]


async def test_declined_card_leaves_the_payment_payable(
    shop: Harness, stripe: StripeSimulator
) -> None:
    payment = await pay(shop, stripe, "insufficient_funds")
    still = await shop.get(payment["payment_id"])
    reasons = await webhook_reasons(shop)
    code = payment["provider_reference"]

    stripe.pay(code, "good")
    await deliver(shop, *stripe.events("charge.succeeded", about=code))

    assert (still["status"], still["checkout_url"]) == ("pending", payment["checkout_url"])
    assert reasons[True] == "declined: insufficient_funds"
    paid = await shop.get(payment["payment_id"])
    assert (paid["status"], paid["amounts"]["received"]) == ("paid", 45_000)


@pytest.mark.parametrize(
    ("card", "status", "reason"),
    [
        (None, "expired", None),
        ("declined", "failed", "declined"),
        ("insufficient_funds", "failed", "declined"),
        ("expired", "failed", "invalid_card"),
        ("wrong_code", "failed", "invalid_card"),
    ],
)
async def test_what_was_tried_in_vain_says_so_when_the_time_is_up(
    shop: Harness, stripe: StripeSimulator, card: str | None, status: str, reason: str | None
) -> None:
    payment = await shop.create()
    code = payment["provider_reference"]
    if card is not None:
        stripe.pay(code, card)

    await pass_time(shop, stripe, 900)

    ended = await shop.get(payment["payment_id"])
    assert (ended["status"], ended.get("failure_reason")) == (status, reason)
    assert stripe.session(code)["status"] == "expired"  # by us: Stripe would have kept it open
    told = [e["data"]["payment"] for e in shop.events() if e["type"] == f"payment.{status}"]
    assert [entry.get("failure_reason") for entry in told] == [reason]


async def test_cancelled_checkout_takes_no_card_any_more(
    shop: Harness, stripe: StripeSimulator
) -> None:
    payment = await pay(shop, stripe, "declined")
    path = f"/v1/payments/{payment['payment_id']}/cancel"

    response = await shop.request("POST", path, {"reason": "sold out"})

    assert response.status_code == 200, response.text
    ended = response.json()
    assert (ended["status"], ended["failure_reason"]) == ("failed", "canceled")
    session = stripe.session(payment["provider_reference"])
    assert session["metadata"]["payments_closed_because"] == "sold out"
    with pytest.raises(httpx.HTTPStatusError):
        stripe.pay(payment["provider_reference"])


async def test_money_is_faster_than_a_cancellation(shop: Harness, stripe: StripeSimulator) -> None:
    payment = await shop.create()
    stripe.pay(payment["provider_reference"])

    response = await shop.request("POST", f"/v1/payments/{payment['payment_id']}/cancel", {})

    assert (response.status_code, response.json()["current_status"]) == (409, "paid")


async def test_checkout_that_ended_at_stripe_is_asked_about_at_once(
    shop: Harness, stripe: StripeSimulator
) -> None:
    payment = await shop.create()
    name = stripe.session(payment["provider_reference"])["id"]
    async with httpx.AsyncClient(trust_env=False) as dashboard:
        url = f"{stripe.base_url}/v1/checkout/sessions/{name}/expire"
        key = stripe.environment["STRIPE_SECRET_KEY"]
        await dashboard.post(url, headers={"authorization": f"Bearer {key}"})

    await deliver(shop, *stripe.events("checkout.session.expired", about=name))

    assert (await shop.get(payment["payment_id"]))["status"] == "expired"


async def test_lost_webhook_is_healed_and_a_late_one_changes_nothing(
    shop: Harness, stripe: StripeSimulator
) -> None:
    payment = await shop.create()
    code = payment["provider_reference"]
    stripe.pay(code)

    await pass_time(shop, stripe, 60)
    healed = await shop.get(payment["payment_id"])
    events = len(shop.events())
    statuses = await deliver(shop, *stripe.events(about=code), *stripe.events(about=code))

    assert (healed["status"], healed["amounts"]["received"]) == ("paid", 45_000)
    assert set(statuses) == {200}
    late = await shop.get(payment["payment_id"])
    assert (late["amounts"], late["exceptions"]) == (healed["amounts"], [])
    assert len(shop.events()) == events


async def test_deliveries_of_one_event_are_stored_once(
    shop: Harness, stripe: StripeSimulator
) -> None:
    payment = await pay(shop, stripe)
    stored = await rows(shop, "SELECT COUNT(*) FROM webhook_events")

    again = await deliver(shop, *stripe.events(about=payment["provider_reference"]))

    assert set(again) == {200}  # each with a new signature, as a retry of Stripe
    assert await rows(shop, "SELECT COUNT(*) FROM webhook_events") == stored


@pytest.mark.parametrize("fault", ["forged", "old", "unsigned"])
async def test_webhook_that_is_not_stripes_is_refused(
    shop: Harness, stripe: StripeSimulator, fault: str
) -> None:
    payment = await shop.create()
    stripe.pay(payment["provider_reference"])
    headers, body = stripe.events("charge.succeeded")[-1]
    sign = WebhookSignature.generate_signature_header
    headers["stripe-signature"] = {
        "forged": sign(body.decode(), "whsec_of_somebody_else"),
        "old": sign(body.decode(), WEBHOOK_SECRET, timestamp=int(time.time()) - 301),
        "unsigned": "",
    }[fault]

    response = await shop.http.post(PATH, content=body, headers=headers)

    await shop.settle()
    assert (response.status_code, response.json()["code"]) == (401, "WEBHOOK_SIGNATURE_INVALID")
    assert (await shop.get(payment["payment_id"]))["status"] == "pending"


async def test_only_the_provider_of_the_service_is_listened_to(
    shop: Harness, simulator: Simulator, tmp_path: Path
) -> None:
    headers, body = {"content-type": "application/json"}, json.dumps(
        {"id": "evt_1", "object": "event", "type": "x", "data": {}}
    )  # fmt: skip

    settings = environment(f"sqlite+aiosqlite:///{tmp_path}/other.db", simulator.environment)
    async with running_service(settings) as other:
        to_payos = await other.http.post(PATH, content=body, headers=headers)
    to_stripe = await shop.http.post("/v1/webhooks/payos", json={"data": {}, "signature": "0" * 64})

    assert (to_payos.status_code, to_stripe.status_code) == (404, 404)


async def test_refund_waits_and_ends_when_stripe_says_so(
    shop: Harness, stripe: StripeSimulator
) -> None:
    payment = await pay(shop, stripe)
    stripe.modes(refund_status="pending")
    made = (await refund(shop, payment, 15_000)).json()
    await shop.settle()
    path = f"/v1/payments/{payment['payment_id']}/refunds/{made['refund_id']}"
    waiting = (await shop.request("GET", path)).json()
    reference = f"{made['refund_id']}-1"

    stripe.settle(reference, "succeeded")
    await deliver(shop, *stripe.events("refund.updated", about=reference))
    done = (await shop.request("GET", path)).json()
    stripe.settle(reference, "failed")
    await deliver(shop, *stripe.events("refund.failed", about=reference))

    assert (waiting["status"], done["status"]) == ("pending", "succeeded")
    returned = (await shop.request("GET", path)).json()
    assert (returned["status"], returned["failure_reason"]) == ("failed", "returned")
    after = await shop.get(payment["payment_id"])
    assert (after["status"], after["amounts"]["refunded"]) == ("paid", 0)
    assert [exception["code"] for exception in after["exceptions"]] == ["refund_returned"]


async def test_money_goes_back_to_the_card_and_nowhere_else(
    shop: Harness, stripe: StripeSimulator
) -> None:
    payment = await pay(shop, stripe)
    account = {"type": "bank_account", "bank_bin": "970422", "account_number": "0123456789"}

    response = await refund(shop, payment, 15_000, destination=account)

    assert (response.status_code, response.json()["code"]) == (409, "REFUND_NOT_SUPPORTED")


@pytest.mark.parametrize("fault", ["reset_before", "reset_after", "status"])
async def test_lost_answers_make_nothing_twice(
    shop: Harness, stripe: StripeSimulator, fault: str
) -> None:
    stripe.fault(fault, path="/v1/checkout/sessions", method="POST")
    payment = await pay(shop, stripe)
    stripe.fault(fault, path="/v1/refunds", method="POST")
    await refund(shop, payment, 15_000)
    await shop.settle()
    await pass_time(shop, stripe, 60)

    books = stripe.ledger()
    assert [s["status"] for s in books["sessions"].values()] == ["complete"]
    assert [entry["amount"] for entry in books["refunds"].values()] == [15_000]
    assert (await shop.get(payment["payment_id"]))["status"] == "partially_refunded"


async def test_session_of_which_every_answer_was_lost_is_closed_and_replaced(
    shop: Harness, stripe: StripeSimulator
) -> None:
    """Its address was never seen by anybody; there are never two that can be paid."""
    stripe.fault("reset_after", path="/v1/checkout/sessions", method="POST", times=2)

    payment = await pay(shop, stripe)

    statuses = [session["status"] for session in stripe.ledger()["sessions"].values()]
    assert sorted(statuses) == ["complete", "expired"]
    assert (await shop.get(payment["payment_id"]))["status"] == "paid"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount": 1000}, "amount_too_small"),
        ({"amount": 100_000_000}, "amount_too_large"),
        ({"expires_in_seconds": 86_400}, "invalid_request_error"),  # Stripe keeps none for longer
    ],
)
async def test_refusal_of_stripe_is_told_with_its_code(
    shop: Harness, changes: dict[str, int], code: str
) -> None:
    response = await shop.request("POST", "/v1/payments", order(45_000) | changes)

    told = response.json()
    assert (response.status_code, told["code"]) == (422, "PAYMENT_FAILED")
    assert told["provider_code"] == code


async def test_what_else_happens_in_the_account_is_kept_and_ignored(
    shop: Harness, stripe: StripeSimulator
) -> None:
    event = {
        "id": "evt_else", "object": "event", "created": 1, "type": "balance.available",
        "data": {"object": {"object": "balance"}},
    }  # fmt: skip
    body = json.dumps(event)
    header = WebhookSignature.generate_signature_header(body, WEBHOOK_SECRET)
    headers = {"stripe-signature": header, "content-type": "application/json"}

    assert await deliver(shop, (headers, body.encode())) == [200]

    assert await webhook_reasons(shop) == {False: "not about a payment of ours"}


async def test_endpoint_is_told_what_to_send_and_is_made_by_an_operator(
    shop: Harness, stripe: StripeSimulator
) -> None:
    stripe.webhook_url("https://payments.example/v1/webhooks/stripe")
    before = stripe.ledger()["enabled_events"]

    await shop.service.provider.register_webhook("https://payments.example/v1/webhooks/stripe")
    with pytest.raises(RequestRejected, match="STRIPE_WEBHOOK_SECRET"):
        await shop.service.provider.register_webhook("https://else.example/v1/webhooks/stripe")

    assert before == ["*"]
    assert stripe.ledger()["enabled_events"] == list(EVENTS)
