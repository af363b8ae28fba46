"""One hostile input: the bytes that are sent to a door, and what must come back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.identity import encoded

HOST = b"Host: payments.test\r\n"


@dataclass(frozen=True, slots=True)
class Case:
    """An input and the answers to it.

    Attributes:
        door: What is tried.
        name: Unique within the door.
        data: The bytes on the wire.
        expected: Status and code of every answer in order, "closed" for none.
    """

    door: str
    name: str
    data: bytes
    expected: str


@dataclass(frozen=True, slots=True)
class World:
    """What an attacker may have in hand, and what the owner has."""

    token: str  # of a tenant, with every right
    secret: str  # that tokens are signed with
    payment_id: str  # the tenant's
    others_payment_id: str
    others_token: str
    others_cursor: str
    cursor: str
    used_key: str  # an idempotency key that was answered
    checksum_key: str  # payOS's


def request(
    method: str,
    path: str,
    *lines: str,
    body: bytes | None = None,
    media_type: str | None = "application/json",
) -> bytes:
    """Write a request that asks for the connection to be closed; `lines` are header fields."""
    head = [f"{method} {path} HTTP/1.1", "Host: payments.test", "Connection: close", *lines]
    if body is not None:
        head.append(f"Content-Length: {len(body)}")
        if media_type is not None:
            head.append(f"Content-Type: {media_type}")
    return "\r\n".join([*head, "", ""]).encode("latin-1") + (body or b"")


def bearer(token: str) -> str:
    """Write the header of a token."""
    return f"Authorization: Bearer {token}"


def order(**changes: Any) -> dict[str, Any]:
    """Write a valid order; a change to ... leaves a member out."""
    valid = {
        "amount": 45_000,
        "currency": "VND",
        "order_reference": "hostile",
        "return_url": "https://shop.example/thanks",
        "cancel_url": "https://shop.example/cart",
    }
    return {name: value for name, value in (valid | changes).items() if value is not ...}


def order_with(member: str, text: str | bytes) -> bytes:
    """Write a valid order in which one member has exactly this JSON text."""
    raw = text if isinstance(text, bytes) else text.encode()
    rest = json.dumps(order(**{member: ...})).encode()
    return rest[:-1] + b', "' + member.encode() + b'": ' + raw + b"}"


def create(world: World, body: bytes, *lines: str, name: str = "hostile-key") -> bytes:
    """Write a request for a payment."""
    headers = (bearer(world.token), f"Idempotency-Key: {name}", *lines)
    return request("POST", "/v1/payments", *headers, body=body)


def claims_text(claims: Mapping[str, Any]) -> str:
    """Encode claims as a token carries them."""
    return encoded(claims).decode()
