"""Whatever goes wrong on the way to Stripe and back, both books agree in the end, to the dong."""

import random
from pathlib import Path
from typing import Any

import pytest

from tests.support.service import Harness, environment, order, running_service
from tests.support.stripe_simulator import StripeSimulator, running_stripe

PAYMENTS = 16
FAULTS = ("reset_before", "reset_after", "cut_after", "status_before", "status_after")
FAULTY = 0.3  # of what follows; half of the calls would open the circuit
TRIES_MAX = 12
FINAL = {"paid", "failed", "expired", "partially_refunded", "refunded"}


class Day:
    """A day of a shop, in which anything may fail."""

    def __init__(self, shop: Harness, stripe: StripeSimulator, seed: int) -> None:
        self._shop = shop
        self._stripe = stripe
        self._chance = random.Random(seed)
        self.payments: list[dict[str, Any]] = []

    async def live(self) -> None:
        """Let payments be made, tried, cancelled, told of and refunded."""
        for number in range(PAYMENTS):
            payment = await self._ask("/v1/payments", order(20_000 + number))
            self.payments.append(payment)
            self._try_cards(payment)
            if self._chance.random() < 0.2:
                await self._ask(f"/v1/payments/{payment['payment_id']}/cancel", {})
            await self._deliver(payment)
        for payment in self.payments:
            seen = await self._shop.get(payment["payment_id"])
            if seen["status"] == "paid" and self._chance.random() < 0.6:
                amount = self._chance.choice([1, 5000, seen["amount"]])
                body = {"amount": amount, "reason": "other", "destination": {"type": "source"}}
                self._spoil()
                await self._ask(f"/v1/payments/{payment['payment_id']}/refunds", body)
                await self._shop.settle()

    async def end(self) -> None:
        """Let nothing fail any more, and everything be looked after."""
        self._stripe.clear_faults()
        for _ in range(4):
            self._stripe.advance(1800)
            await self._shop.advance(1800)

    def _try_cards(self, payment: dict[str, Any]) -> None:
        cards = self._chance.choice(["", "good", "good", "declined", "wrong_code good"])
        for card in cards.split():
            self._stripe.pay(payment["provider_reference"], card)

    async def _deliver(self, payment: dict[str, Any]) -> None:
        told = self._stripe.events(about=payment["provider_reference"])
        told = [each for each in told if self._chance.random() < 0.6] * 2
        self._chance.shuffle(told)
        for headers, body in told:
            await self._shop.http.post("/v1/webhooks/stripe", content=body, headers=headers)
        await self._shop.settle()

    def _spoil(self) -> None:
        if self._chance.random() < FAULTY:
            kind = self._chance.choice(FAULTS)
            self._stripe.fault(kind, path="/v1/.*", times=self._chance.choice([1, 1, 3]))

    async def _ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Repeat a request under its key until it has its answer, as a merchant does."""
        key = f"day-{self._chance.random()}"
        self._spoil()
        for _ in range(TRIES_MAX):
            response = await self._shop.request("POST", path, body, key=key)
            answer: dict[str, Any] = response.json()
            if response.status_code < 500 and not answer.get("retryable", False):
                return answer
        raise AssertionError(f"no answer: {answer}")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_both_books_agree_to_the_dong(tmp_path: Path, seed: int) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/payments.db"
    with running_stripe() as stripe:
        async with running_service(environment(url, stripe.environment)) as shop:
            day = Day(shop, stripe, seed)
            await day.live()
            await day.end()
            seen = [await shop.get(payment["payment_id"]) for payment in day.payments]
            books = stripe.ledger()
            assert await shop.violations() == []

    assert {payment["status"] for payment in seen} <= FINAL
    assert [payment for payment in seen if payment["exceptions"]] == []
    for payment in seen:
        code = payment["provider_reference"]
        sessions = [s for s in books["sessions"].values() if s["client_reference_id"] == code]
        taken = [s["amount"] for s in sessions for c in s["charges"] if c["failure_code"] is None]
        assert payment["amounts"]["received"] == sum(taken), payment
    refunded = sum(payment["amounts"]["refunded"] for payment in seen)
    assert refunded == sum(entry["amount"] for entry in books["refunds"].values()) > 0
    assert {session["status"] for session in books["sessions"].values()} <= {"complete", "expired"}
    received = sum(payment["amounts"]["received"] for payment in seen)
    assert received == sum(
        s["amount"] for s in books["sessions"].values() if s["status"] == "complete"
    )
