"""Stripe signatures against the official SDK, which signs and verifies the same bytes."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st
from stripe import SignatureVerificationError, WebhookSignature

from payment_service.domain.errors import WebhookSignatureInvalid
from payment_service.providers.provider import UnreadableWebhook, WebhookKind
from payment_service.providers.stripe import signature, webhooks
from payment_service.providers.stripe.settings import StripeSettings

NOW = datetime(2026, 11, 24, 3, 15, tzinfo=UTC)
SECRET, OLD_SECRET = "whsec_now", "whsec_before"
BODY = b'{"id": "evt_1", "object": "event", "type": "balance.available", "data": {"object": {}}}'


def signed(body: bytes = BODY, secret: str = SECRET, at: datetime = NOW) -> str:
    return WebhookSignature.generate_signature_header(
        body.decode(), secret, timestamp=int(at.timestamp())
    )


@given(st.text(max_size=200), st.text("abcdef0123456789", min_size=1, max_size=40))
def test_we_accept_what_the_sdk_signs(text: str, secret: str) -> None:
    header = signed(text.encode("utf-8", "replace"), secret)

    assert signature.is_valid(header, text.encode("utf-8", "replace"), (secret,), now=NOW)


def test_the_sdk_and_we_accept_and_refuse_the_same_headers() -> None:
    """With one difference: the SDK raises another error where a header has no time at all."""
    good = signed()
    digest = good.partition("v1=")[2]
    stamp = f"t={int(NOW.timestamp())}"
    headers = [
        good, f"{good},v0={'0' * 64}", f"v1={digest},{stamp}", f"{stamp},v1={'0' * 64},v1={digest}",
        f"{stamp},v1=", f"{stamp},v0={digest}", f"{stamp},v1={digest.upper()}", stamp, digest,
        f"t={int(NOW.timestamp()) + 1},v1={digest}", f"{stamp},v1={digest[:-1]}", "", "t=x,v1=y",
    ]  # fmt: skip

    for header in headers:
        try:
            theirs = WebhookSignature.verify_header(BODY.decode(), header, SECRET, tolerance=None)
        except SignatureVerificationError:
            theirs = False
        assert signature.is_valid(header, BODY, (SECRET,), now=NOW) is theirs, header


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (timedelta(), True),
        (signature.TOLERANCE, True),
        (signature.TOLERANCE + timedelta(seconds=1), False),
        (timedelta(days=365), False),
        (-timedelta(minutes=1), True),  # Stripe's clock is a little ahead of ours
    ],
)
def test_an_old_signature_is_worth_nothing(age: timedelta, *, expected: bool) -> None:
    header = signed(at=NOW - age)

    assert signature.is_valid(header, BODY, (SECRET,), now=NOW) is expected


def test_both_secrets_count_while_they_rotate() -> None:
    settings = StripeSettings.read(
        {
            "STRIPE_SECRET_KEY": "sk_test_x",
            "STRIPE_WEBHOOK_SECRET": SECRET,
            "STRIPE_WEBHOOK_SECRET_PREVIOUS": OLD_SECRET,
        }
    )
    secrets = settings.webhook_secrets

    verified = [
        webhooks.verify(signed(secret=secret), BODY, secrets, now=NOW)
        for secret in (SECRET, OLD_SECRET)
    ]

    assert {webhook.event_id for webhook in verified} == {"evt_1"}
    assert SECRET not in repr(settings)
    with pytest.raises(WebhookSignatureInvalid):
        webhooks.verify(signed(secret="whsec_else"), BODY, secrets, now=NOW)


def test_every_byte_of_the_body_is_signed() -> None:
    header = signed()

    for position in range(len(BODY)):
        changed = BODY[:position] + bytes([BODY[position] ^ 1]) + BODY[position + 1 :]
        assert not signature.is_valid(header, changed, (SECRET,), now=NOW)


@given(st.text(max_size=200), st.binary(max_size=200))
def test_nothing_crashes_the_verifier(header: str, body: bytes) -> None:
    with pytest.raises(WebhookSignatureInvalid):
        webhooks.verify(header, body, (SECRET,), now=NOW)


@pytest.mark.parametrize("body", [b"[]", b"1", b'{"id": 1}', b"{}", b'{"id": ""}', b"not json"])
def test_signed_nonsense_has_no_name_to_be_stored_under(body: bytes) -> None:
    with pytest.raises(WebhookSignatureInvalid):
        webhooks.verify(signed(body), body, (SECRET,), now=NOW)


@pytest.mark.parametrize(
    "body",
    [
        BODY,  # an object without a name: no charge, so nothing of it is read
        b'{"id":"evt_1","object":"event","created":1,"type":"charge.succeeded","data":'
        b'{"object":{"id":"ch_1","object":"charge","metadata":{"order":"1"}}}}',
        b'{"id":"evt_1","object":"event","created":1,"type":"charge.succeeded","data":'
        b'{"object":{"id":"ch_1","object":"charge","metadata":null}}}',
    ],
)
def test_what_is_not_about_our_payments_is_no_fault(body: bytes) -> None:
    report = webhooks.parse(body, "v1")

    assert (report.kind, report.transfer) == (WebhookKind.PING, None)


@pytest.mark.parametrize(
    "changes", [{"amount": 0}, {"currency": "usd"}, {"created": None}, {"amount": "45000"}]
)
def test_charge_of_ours_that_makes_no_sense_waits_for_an_operator(
    changes: dict[str, object],
) -> None:
    charge = {
        "id": "ch_1", "object": "charge", "amount": 45_000, "created": 1, "currency": "vnd",
        "metadata": {"payments_order_code": "7210482093571"},
    } | changes  # fmt: skip
    event = {"id": "evt_1", "object": "event", "created": 1, "type": "charge.succeeded",
             "data": {"object": charge}}  # fmt: skip

    with pytest.raises(UnreadableWebhook):
        webhooks.parse(json.dumps(event).encode(), "v1")
