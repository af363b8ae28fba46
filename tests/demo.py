"""The story of one payment, told against a fresh service: make demo."""

import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx

from tests.support.process import Development, development, wait_until

ACCOUNT = {"type": "source"}


def say(text: str) -> None:
    """Print a line of the story."""
    print(text, flush=True)


def money(amount: int) -> str:
    """Write an amount as the payer sees it."""
    return f"{amount:,} VND"


def wait_for(running: Development, payment_id: str, status: str) -> dict[str, Any]:
    """Read a payment until it has a status."""

    def look() -> dict[str, Any] | None:
        seen = running.call("GET", f"/v1/payments/{payment_id}").json()
        return seen if seen["status"] == status else None

    return dict(wait_until(look, seconds=20, what=status))


def tell(running: Development) -> None:
    """Tell the story."""
    say("1. A shop asks for 45,000 VND.")
    payment = running.call("POST", "/v1/payments", {
        "amount": 45_000, "currency": "VND", "order_reference": "order-1001",
        "description": "Two iced coffees", "return_url": "https://shop.example/thanks",
        "cancel_url": "https://shop.example/cart",
    }).json()  # fmt: skip
    say(f"   {payment['payment_id']} is {payment['status']}")
    say(f"   page     {payment['checkout_url']}")
    say(f"   picture  {payment['qr_url']}\n")

    say("2. The payer scans the code and pays; payOS reports it by webhook.")
    httpx.post(f"{payment['checkout_url']}/pay", trust_env=False)
    paid = wait_for(running, payment["payment_id"], "paid")
    say(f"   {paid['status']}, {money(paid['amounts']['received'])} received\n")

    say("3. One coffee was cold: 20,000 VND go back to the account that paid.")
    refund = running.call("POST", f"/v1/payments/{payment['payment_id']}/refunds", {
        "amount": 20_000, "reason": "requested_by_customer", "destination": ACCOUNT,
    }).json()  # fmt: skip
    say(f"   {refund['refund_id']} is {refund['status']}")
    after = wait_for(running, payment["payment_id"], "partially_refunded")
    say(f"   {after['status']}, {money(after['amounts']['refunded'])} refunded\n")

    say("4. Everything that happened:")
    timeline = running.call("GET", f"/v1/payments/{payment['payment_id']}/timeline").json()
    for entry in timeline["entries"]:
        amount = money(entry["amount"]) if "amount" in entry else ""
        say(f"   {entry['at'][11:23]}  {entry['action']:28} {amount:>12}  by {entry['actor']}")


def main() -> int:
    """Start a service, tell the story, stop the service."""
    say("Starting a service with a simulated payOS ...\n")
    with tempfile.TemporaryDirectory() as folder, development(Path(folder)) as running:
        tell(running)
    return 0


if __name__ == "__main__":
    sys.exit(main())
