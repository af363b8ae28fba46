"""What the load is made of: requests as bytes, signed and unique, and the payments they speak of.

Payments are numbered. Everything about one follows from its number, so a row, a webhook and an
event of the same payment are made in different places and still fit together.
"""

from typing import Any

import msgspec

from payment_service.providers.payos import signature
from tests.support.simulator import PAYMENT

FIRST_ORDER_CODE = 10**13
AMOUNT = 45_000
PROVIDER = "payos"
_JSON = b"content-type: application/json\r\n"


def payment_id(number: int) -> str:
    """Name a payment that is there before the load."""
    return f"pay_{number:026d}"


def number_of(payment_id: str) -> int:
    """Tell which payment that is."""
    return int(payment_id.removeprefix("pay_"))


def order_code(number: int) -> int:
    """Name its link, as we do."""
    return FIRST_ORDER_CODE + number


def link_id(number: int) -> str:
    """Name its link, as payOS does."""
    return f"{number:032d}"


def webhook_data(number: int) -> dict[str, Any]:
    """Tell of a transfer that pays a payment."""
    return {
        "accountNumber": "12345678",
        "amount": AMOUNT,
        "description": "PAYK7Q2MA",
        "reference": f"FT{number:014d}",
        "transactionDateTime": "2026-11-24 10:15:30",
        "virtualAccountNumber": "",
        "counterAccountBankId": "970422",
        "counterAccountBankName": "",
        "counterAccountName": "NGUYEN VAN A",
        "counterAccountNumber": "0123456789",
        "virtualAccountName": "",
        "currency": "VND",
        "orderCode": order_code(number),
        "paymentLinkId": link_id(number),
        "code": "00",
        "desc": "success",
    }


def webhook_body(number: int) -> bytes:
    """Write the webhook that tells of it, signed."""
    data = webhook_data(number)
    signed = signature.sign_data(data, PAYMENT.checksum_key)
    envelope = {"code": "00", "desc": "success", "success": True, "data": data, "signature": signed}
    return msgspec.json.encode(envelope)


def webhooks(first: int, count: int) -> list[bytes]:
    """Prepare deliveries."""
    return [
        request("POST", "/v1/webhooks/payos", _JSON, webhook_body(number))
        for number in range(first, first + count)
    ]


def creations(first: int, count: int, token: str) -> list[bytes]:
    """Prepare requests for payments, each with a key and an order of its own."""
    authorization = f"authorization: Bearer {token}\r\n".encode()
    return [
        request(
            "POST",
            "/v1/payments",
            _JSON + authorization + b"idempotency-key: bench-%d\r\n" % number,
            msgspec.json.encode({
                "amount": AMOUNT,
                "currency": "VND",
                "order_reference": f"bench-{number}",
                "description": "Two iced coffees",
                "return_url": f"https://shop.example/orders/{number}/thanks",
                "cancel_url": f"https://shop.example/orders/{number}/cart",
                "metadata": {"campaign": "autumn"},
            }),
        )
        for number in range(first, first + count)
    ]  # fmt: skip


def reads(payment_ids: list[str], token: str) -> list[bytes]:
    """Prepare requests that read payments."""
    authorization = f"authorization: Bearer {token}\r\n".encode()
    return [request("GET", f"/v1/payments/{each}", authorization) for each in payment_ids]


def request(method: str, path: str, headers: bytes, body: bytes = b"") -> bytes:
    """Write a request as it goes over the wire."""
    head = f"{method} {path} HTTP/1.1\r\nhost: bench\r\n".encode() + headers
    if body:
        head += b"content-length: %d\r\n" % len(body)
    return head + b"\r\n" + body
