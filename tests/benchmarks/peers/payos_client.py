"""payOS for the FastAPI peer: one signed call over httpx, its answer checked."""

import hashlib
import hmac
import os
from typing import Any

import httpx
from fastapi import HTTPException

from tests.benchmarks.peers.bare_webhooks import KEY, is_signed
from tests.benchmarks.peers.orm import Payment, PaymentAttempt

http = httpx.AsyncClient(
    base_url=os.environ["PAYOS_BASE_URL"],
    headers={
        "x-client-id": os.environ["PAYOS_CLIENT_ID"],
        "x-api-key": os.environ["PAYOS_API_KEY"],
    },
    timeout=10,
    trust_env=False,
)


async def create_link(payment: Payment, attempt: PaymentAttempt) -> dict[str, Any]:
    """Ask for a link."""
    body: dict[str, Any] = {
        "amount": payment.amount,
        "cancelUrl": payment.cancel_url,
        "description": attempt.transfer_text,
        "orderCode": attempt.order_code,
        "returnUrl": payment.return_url,
    }
    text = "&".join(f"{name}={value}" for name, value in body.items())  # sorted as it stands
    body["signature"] = hmac.new(KEY, text.encode(), hashlib.sha256).hexdigest()
    response = await http.post("/v2/payment-requests", json=body)
    answer = response.raise_for_status().json()
    if answer["code"] != "00" or not is_signed(answer["data"], answer["signature"]):
        raise HTTPException(502)
    return dict(answer["data"])
