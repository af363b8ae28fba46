"""Merchants, payers and the provider's webhooks, who go on while the service is upgraded.

Each request has a connection of its own, and is made once: whatever is not answered as it should be
is an error, and nobody tries again.
"""

import asyncio
import itertools
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.simulator import Simulator

REQUEST_SECONDS = 30.0
PAID_SECONDS = 60.0
BREATH_SECONDS = 0.2  # of a merchant between two requests: a pace, not a wait
AMOUNT, REFUND = 45_000, 15_000


@dataclass(slots=True)
class Tally:
    """What happened, by step of the rehearsal."""

    step: str = "before"
    requests: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    paid: Counter[str] = field(default_factory=Counter)
    payments: list[str] = field(default_factory=list)


class Load:
    """Some merchants, each with one payment after the other.

    Args:
        url: Where the service is.
        token: The merchants'.
        simulator: The provider, whose webhooks are delivered here.
        merchants: How many at a time.
    """

    def __init__(self, url: str, token: str, simulator: Simulator, *, merchants: int) -> None:
        self.tally = Tally()
        self._simulator = simulator
        self._merchants = merchants
        self._numbers = itertools.count(1)
        self._is_over = False
        self._http = httpx.AsyncClient(
            base_url=url,
            timeout=REQUEST_SECONDS,
            trust_env=False,
            headers={"authorization": f"Bearer {token}"},
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def run(self) -> None:
        """Go on until `stop`; each merchant ends what was begun."""
        await asyncio.gather(*(self._merchant() for _ in range(self._merchants)))
        await self._http.aclose()

    def stop(self) -> None:
        """Begin nothing new."""
        self._is_over = True

    async def _merchant(self) -> None:
        while not self._is_over:
            try:
                await self._journey(next(self._numbers))
            except (httpx.HTTPError, AssertionError, KeyError) as error:
                self.tally.errors.append(f"{self.tally.step}: {type(error).__name__}: {error}")

    async def _journey(self, number: int) -> None:
        """Create, read, pay, deliver the webhook twice, wait, refund, list."""
        body = {
            "amount": AMOUNT, "currency": "VND", "order_reference": f"order-{number}",
            "return_url": "https://shop.example/t", "cancel_url": "https://shop.example/c",
        }  # fmt: skip
        payment = await self._ask(201, "POST", "/v1/payments", body, key=f"create-{number}")
        path = f"/v1/payments/{payment['payment_id']}"
        self.tally.payments.append(payment["payment_id"])
        again = await self._ask(201, "POST", "/v1/payments", body, key=f"create-{number}")
        assert again == payment, "a repeated request was answered otherwise"
        webhook = await asyncio.to_thread(self._pay, payment["provider_reference"])
        for _ in range(2):
            await self._ask(200, "POST", "/v1/webhooks/payos", webhook)
        await self._wait_until_paid(path)
        refund = {"amount": REFUND, "reason": "other", "destination": {"type": "source"}}
        await self._ask(201, "POST", f"{path}/refunds", refund, key=f"refund-{number}")
        await self._ask(200, "GET", f"{path}/timeline")
        await self._ask(200, "GET", "/v1/payments?limit=5")
        self.tally.paid[self.tally.step] += 1

    def _pay(self, reference: str) -> dict[str, Any]:
        self._simulator.pay(reference)
        return self._simulator.webhook(reference)

    async def _wait_until_paid(self, path: str) -> None:
        deadline = time.monotonic() + PAID_SECONDS
        while (await self._ask(200, "GET", path))["status"] == "pending":
            assert time.monotonic() < deadline, f"{path} was not paid in time"

    async def _ask(
        self, expected: int, method: str, path: str, body: Any = None, *, key: str = ""
    ) -> dict[str, Any]:
        headers = {"idempotency-key": key} if key else {}
        self.tally.requests[self.tally.step] += 1
        response = await self._http.request(method, path, json=body, headers=headers)
        assert response.status_code == expected, f"{method} {path}: {response.text[:300]}"
        await asyncio.sleep(BREATH_SECONDS)
        return dict(response.json())
