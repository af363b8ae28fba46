"""payOS signatures against vectors made by the official SDKs, Python and Node."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from payment_service.domain.errors import WebhookSignatureInvalid
from payment_service.providers.payos import signature, webhooks
from payment_service.providers.provider import UnreadableWebhook, WebhookKind
from payos_simulator import signatures as simulated

FIXTURES = Path(__file__).parents[2] / "fixtures" / "payos"
VECTORS = json.loads((FIXTURES / "signature_vectors.json").read_text())
AGREED = [case for case in VECTORS if case["agree"]]
SIGNED = {
    "create_payment_signature": (signature.sign_create, simulated.of_create_request),
    "response_body_signature": (signature.sign_data, simulated.of_data),
    "payout_request_signature": (signature.sign_payout, simulated.of_payout),
    "payout_response_signature": (signature.sign_payout, simulated.of_payout),
}


def given_input(case: dict[str, Any]) -> Any:
    return json.loads(case["input_raw"]) if "input_raw" in case else case["input"]


def raw_webhook(case: dict[str, Any]) -> bytes:
    text = case.get("input_raw") or json.dumps(case["input"], ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


@pytest.mark.parametrize(
    "case", [c for c in AGREED if c["kind"] in SIGNED], ids=lambda case: case["name"]
)
def test_we_sign_like_both_sdks(case: dict[str, Any]) -> None:
    ours, theirs = SIGNED[case["kind"]]
    assert ours(given_input(case), case["checksum_key"]) == case["expected_signature"]
    assert theirs(given_input(case), case["checksum_key"]) == case["expected_signature"]


@pytest.mark.parametrize(
    "case", [c for c in AGREED if c["kind"] == "webhook_verify"], ids=lambda case: case["name"]
)
def test_we_accept_the_webhooks_that_both_sdks_accept(case: dict[str, Any]) -> None:
    try:
        webhooks.verify(raw_webhook(case), (case["checksum_key"],))
        accepted = True
    except WebhookSignatureInvalid:
        accepted = False
    assert accepted is case["expected_valid"]


def test_enough_vectors_were_checked() -> None:
    assert len(AGREED) == 80


@pytest.mark.parametrize(
    "name",
    [
        "webhook/missing_optional_virtual_fields_signed_without",
        "webhook/missing_all_counter_fields_signed_without",
        "webhook/extra_field_top_level",
    ],
)
def test_signed_webhooks_with_more_or_fewer_members_are_accepted(name: str) -> None:
    """Where the SDKs disagree we hash what was received, as Node does: see ADR 0010."""
    case = next(c for c in VECTORS if c["name"] == name)

    verified = webhooks.verify(raw_webhook(case), (case["checksum_key"],))

    assert verified.schema_version == "v1"


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_verifier(body: bytes) -> None:
    with pytest.raises(WebhookSignatureInvalid):
        webhooks.verify(body, ("key",))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["orderCode", "amount", "reference", "x", "ü"]), JSON))
def test_whatever_is_signed_is_accepted_and_then_read_or_set_aside(data: dict[str, Any]) -> None:
    """A signed webhook is never refused, whatever it says: it may be about money."""
    data = json.loads(json.dumps(data).replace("NaN", "0").replace("Infinity", "0"))
    body = json.dumps({"data": data, "signature": signature.sign_data(data, "key")}).encode()

    verified = webhooks.verify(body, ("other", "key"))

    assert len(verified.event_id) <= 128
    assert len(verified.key) <= 64
    with pytest.raises(UnreadableWebhook):
        webhooks.parse(body, verified.schema_version)


def test_smuggled_order_code_is_not_readable() -> None:
    """The signature cannot tell members apart that contain separators; the schema can."""
    data = {
        "orderCode": 999, "amount": 3000, "description": "X", "accountNumber": "1",
        "reference": "FT1", "transactionDateTime": "2026-01-01 00:00:00", "currency": "VND",
        "paymentLinkId": "a&orderCode=1001&paymentLinkId=" + "0" * 32, "code": "00", "desc": "ok",
    }  # fmt: skip
    body = json.dumps({"data": data, "signature": signature.sign_data(data, "key")}).encode()

    webhooks.verify(body, ("key",))
    with pytest.raises(UnreadableWebhook):
        webhooks.parse(body, "v1")


def test_registration_ping_is_recognised_by_its_whole_tuple() -> None:
    from payos_simulator.webhooks import PING  # noqa: PLC0415

    ping = json.dumps({"data": PING, "signature": "0" * 64}).encode()
    order_123 = json.dumps({"data": PING | {"reference": "FT1"}, "signature": "0" * 64}).encode()

    assert webhooks.parse(ping, "v1").kind is WebhookKind.PING
    assert webhooks.parse(order_123, "v1").kind is WebhookKind.TRANSFER


@pytest.mark.parametrize(
    ("bank", "expected"), [("970422", "970422"), ("01202001", None), ("", None), (None, None)]
)
def test_only_six_digits_are_a_bank_that_can_be_paid(bank: str | None, expected: str) -> None:
    payer = webhooks.payer(bank, "0123", None)
    assert payer is not None
    assert payer.bank_bin == expected


def test_bank_time_without_a_zone_is_vietnams() -> None:
    assert webhooks.local_time("2026-11-24 07:30:00").isoformat() == "2026-11-24T00:30:00+00:00"
    assert webhooks.local_time("2026-11-24T07:30:00+07:00") == webhooks.local_time(
        "2026-11-24 07:30:00"
    )
