"""The official Python SDK of Stripe passes its calls against the simulator."""

import inspect
import time
from typing import Any

import pytest
import stripe as sdk
from stripe.params.checkout import _session_create_params as session_types

from payment_service.providers.stripe.adapter import session_form
from stripe_simulator.form import nest
from tests.contract.providers.worlds import checkout
from tests.support.stripe_simulator import SECRET_KEY, WEBHOOK_SECRET, StripeSimulator


@pytest.fixture
def merchant(stripe: StripeSimulator) -> sdk.StripeClient:
    return client(stripe)


def client(stripe: StripeSimulator, key: str = SECRET_KEY) -> sdk.StripeClient:
    addresses: Any = {"api": stripe.base_url}
    return sdk.StripeClient(key, base_addresses=addresses, max_network_retries=0)


def session_request(reference: str, amount: int = 45_000) -> Any:
    return {
        "mode": "payment",
        "client_reference_id": reference,
        "metadata": {"payments_order_code": reference},
        "payment_intent_data": {"metadata": {"payments_order_code": reference}},
        "line_items": [
            {
                "quantity": 1,
                "price_data": {
                    "currency": "vnd",
                    "unit_amount": amount,
                    "product_data": {"name": "PAYK7Q2MA"},
                },
            }
        ],
        "success_url": "https://shop.example/thanks",
        "cancel_url": "https://shop.example/cart",
    }


def new_reference() -> str:
    return str(time.time_ns())


def test_sessions_are_made_paid_read_and_listed(
    merchant: sdk.StripeClient, stripe: StripeSimulator
) -> None:
    reference = new_reference()
    made = merchant.v1.checkout.sessions.create(session_request(reference))
    stripe.pay(reference)
    expand: Any = {"expand": ["payment_intent.latest_charge"]}
    seen = merchant.v1.checkout.sessions.retrieve(made.id, expand)
    listed = merchant.v1.checkout.sessions.list({"created": {"gte": made.created}, "limit": 100})

    assert (made.status, made.payment_status, made.payment_intent) == ("open", "unpaid", None)
    assert (seen.status, seen.payment_status, seen.amount_total) == ("complete", "paid", 45_000)
    intent: Any = seen.payment_intent
    assert intent.latest_charge.metadata.to_dict() == {"payments_order_code": reference}
    assert intent.latest_charge.payment_method_details.card.last4 == "4242"
    assert made.id in [session.id for session in listed.auto_paging_iter()]


def test_lists_are_read_page_by_page(merchant: sdk.StripeClient) -> None:
    names = {
        merchant.v1.checkout.sessions.create(session_request(new_reference())).id for _ in range(5)
    }

    pages = merchant.v1.checkout.sessions.list({"limit": 2}).auto_paging_iter()

    assert names <= {session.id for session in pages}


def test_sessions_are_closed_and_say_why(merchant: sdk.StripeClient) -> None:
    made = merchant.v1.checkout.sessions.create(session_request(new_reference()))

    marked = merchant.v1.checkout.sessions.update(made.id, {"metadata": {"because": "sold out"}})
    closed = merchant.v1.checkout.sessions.expire(made.id)

    assert marked.metadata is not None
    assert marked.metadata["because"] == "sold out"
    assert (closed.status, closed.url) == ("expired", None)
    with pytest.raises(sdk.InvalidRequestError, match="status of `expired`"):
        merchant.v1.checkout.sessions.expire(made.id)


def test_declined_card_leaves_the_session_open(
    merchant: sdk.StripeClient, stripe: StripeSimulator
) -> None:
    reference = new_reference()
    made = merchant.v1.checkout.sessions.create(session_request(reference))

    charge = merchant.v1.charges.retrieve(stripe.pay(reference, "insufficient_funds"))
    seen = merchant.v1.checkout.sessions.retrieve(made.id)

    assert (charge.status, charge.failure_code) == ("failed", "card_declined")
    assert charge.outcome is not None
    assert charge.outcome.reason == "insufficient_funds"
    assert (seen.status, seen.payment_status) == ("open", "unpaid")


def test_keys_are_replayed_and_bound_to_their_request(merchant: sdk.StripeClient) -> None:
    reference = new_reference()
    key: Any = {"idempotency_key": reference}
    first = merchant.v1.checkout.sessions.create(session_request(reference), key)
    again = merchant.v1.checkout.sessions.create(session_request(reference), key)

    assert first.id == again.id
    assert again.last_response.headers["idempotent-replayed"] == "true"
    with pytest.raises(sdk.IdempotencyError):
        merchant.v1.checkout.sessions.create(session_request(reference, 50_000), key)


def test_refunds_are_made_listed_bounded_and_fail(
    merchant: sdk.StripeClient, stripe: StripeSimulator
) -> None:
    reference = new_reference()
    merchant.v1.checkout.sessions.create(session_request(reference))
    charge = stripe.pay(reference)

    part = merchant.v1.refunds.create(
        {"charge": charge, "amount": 15_000, "metadata": {"payments_reference": "r-1"}}
    )
    with pytest.raises(sdk.InvalidRequestError, match="greater than unrefunded"):
        merchant.v1.refunds.create({"charge": charge, "amount": 40_000})
    merchant.v1.refunds.create({"charge": charge, "amount": 30_000})
    with pytest.raises(sdk.InvalidRequestError) as caught:
        merchant.v1.refunds.create({"charge": charge, "amount": 1})
    stripe.settle(part.id, "failed")
    seen = merchant.v1.refunds.retrieve(part.id)

    assert (part.status, part.amount) == ("succeeded", 15_000)
    assert caught.value.code == "charge_already_refunded"
    assert (seen.status, seen.failure_reason) == ("failed", "expired_or_canceled_card")
    assert part.id in [each.id for each in merchant.v1.refunds.list({"limit": 100}).data]


def test_webhooks_verify(merchant: sdk.StripeClient, stripe: StripeSimulator) -> None:
    reference = new_reference()
    merchant.v1.checkout.sessions.create(session_request(reference))
    stripe.pay(reference)

    headers, body = stripe.events("charge.succeeded", about=reference)[-1]
    event = merchant.construct_event(body, headers["stripe-signature"], WEBHOOK_SECRET)

    assert event.type == "charge.succeeded"
    assert event.data.object["metadata"]["payments_order_code"] == reference
    with pytest.raises(sdk.SignatureVerificationError):
        merchant.construct_event(body, headers["stripe-signature"], "whsec_else")


def test_wrong_keys_names_and_members_are_refused_as_by_stripe(stripe: StripeSimulator) -> None:
    merchant = client(stripe)

    with pytest.raises(sdk.AuthenticationError):
        client(stripe, "sk_test_wrong").v1.charges.retrieve("ch_x")
    with pytest.raises(sdk.InvalidRequestError) as missing:
        merchant.v1.checkout.sessions.retrieve("cs_test_none")
    with pytest.raises(sdk.InvalidRequestError) as unknown:
        merchant.v1.checkout.sessions.create(session_request("x") | {"colour": "red"})
    with pytest.raises(sdk.InvalidRequestError) as small:
        merchant.v1.checkout.sessions.create(session_request("x", 100))

    assert (missing.value.http_status, missing.value.code) == (404, "resource_missing")
    assert (unknown.value.code, small.value.code) == ("parameter_unknown", "amount_too_small")


@pytest.mark.parametrize("model", [sdk.checkout.Session, sdk.PaymentIntent, sdk.Charge, sdk.Refund])
def test_everything_that_the_simulator_says_is_in_the_sdks_model(
    merchant: sdk.StripeClient, stripe: StripeSimulator, model: type
) -> None:
    reference = new_reference()
    made = merchant.v1.checkout.sessions.create(session_request(reference))
    charge = stripe.pay(reference)
    objects: dict[type, Any] = {
        sdk.checkout.Session: merchant.v1.checkout.sessions.retrieve(made.id),
        sdk.Charge: merchant.v1.charges.retrieve(charge),
        sdk.Refund: merchant.v1.refunds.create({"charge": charge, "amount": 1}),
    }
    session = objects[sdk.checkout.Session]
    objects[sdk.PaymentIntent] = merchant.v1.payment_intents.retrieve(session.payment_intent)

    assert set(objects[model].to_dict()) <= set(inspect.get_annotations(model))


def unknown_members(module: Any, name: str, form: dict[str, Any]) -> list[str]:
    """List the members of a form that the SDK's types of a request do not know."""
    known = getattr(module, name).__annotations__
    faults = [f"{name}.{member}" for member in form if member not in known]
    for member, value in form.items():
        inner = name + "".join(part.title() for part in member.split("_"))
        for candidate in {inner, inner.removesuffix("s")}:  # of a list, one of its entries
            if hasattr(module, candidate):
                entry = value[0] if isinstance(value, list) else value
                faults += unknown_members(module, candidate, entry)
    return faults


def test_everything_that_we_send_is_in_the_sdks_types() -> None:
    form = nest([(name, str(value)) for name, value in session_form(checkout()).items()])
    strange = nest([("line_items[0][price_data][product_data][colour]", "red")])

    assert unknown_members(session_types, "SessionCreateParams", form) == []
    assert unknown_members(session_types, "SessionCreateParams", strange) == [
        "SessionCreateParamsLineItemPriceDataProductData.colour"
    ]
