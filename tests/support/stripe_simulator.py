"""Runs the simulator of Stripe on a free port of this machine, and drives it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from stripe_simulator.app import create_app
from stripe_simulator.config import Config
from tests.support.simulator import running

SECRET_KEY = "sk_test_for_tests"
WEBHOOK_SECRET = "whsec_for_tests"
Delivery = tuple[dict[str, str], bytes]
"""The headers and the body of a webhook."""


class StripeSimulator:
    """A running simulator: its address, and its admin API."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.environment = {
            "PAYMENTS_PROVIDER": "stripe",
            "STRIPE_BASE_URL": base_url,
            "STRIPE_SECRET_KEY": SECRET_KEY,
            "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        }
        self._http = httpx.Client(base_url=f"{base_url}/_admin", timeout=60, trust_env=False)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def pay(self, reference: int | str, card: str = "good") -> str:
        """Try a card on a session; return the name of the charge."""
        return str(self._post(f"/sessions/{reference}/pay", {"card": card})["charge"])

    def events(self, *kinds: str, about: object = "") -> list[Delivery]:
        """Get the events of some types, as they would be delivered, oldest first.

        Args:
            kinds: The types; all when there are none.
            about: What their objects name: our order code or reference, a charge, a refund.
        """
        found = self._http.get("/events").raise_for_status().json()
        return [
            (entry["headers"], entry["body"].encode())
            for entry in found
            if (not kinds or json.loads(entry["body"])["type"] in kinds)
            and str(about) in entry["body"]
        ]

    def ledger(self) -> dict[str, Any]:
        """Look into the books."""
        return dict(self._http.get("/ledger").raise_for_status().json())

    def session(self, reference: int | str) -> dict[str, Any]:
        """Look at the session that we call `reference`."""
        sessions = self.ledger()["sessions"].values()
        return next(s for s in sessions if s["client_reference_id"] == str(reference))

    def settle(self, reference: str, state: str) -> None:
        """Change the state of a refund."""
        self._post(f"/refunds/{reference}/state", {"state": state})

    def modes(self, **modes: Any) -> None:
        """Change how refunds and webhooks behave."""
        self._post("/modes", modes)

    def advance(self, seconds: float) -> None:
        """Move Stripe's time on."""
        self._post("/clock", {"advance_seconds": seconds})

    def webhook_url(self, url: str) -> None:
        """Say where webhooks go."""
        self._post("/webhook-url", {"url": url})

    def fault(self, kind: str, **options: Any) -> None:
        """Have the next matching request go wrong."""
        self._post("/faults", {"kind": kind, **options})

    def clear_faults(self) -> None:
        """Have nothing go wrong any more."""
        self._http.delete("/faults").raise_for_status()

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return dict(self._http.post(path, json=body).raise_for_status().json())


@contextmanager
def running_stripe() -> Iterator[StripeSimulator]:
    """Serve a simulator that forgets everything."""
    config = Config(
        secret_key=SECRET_KEY, webhook_secret=WEBHOOK_SECRET, public_url="http://stripe.test"
    )
    with running(create_app(config)) as base_url:
        simulator = StripeSimulator(base_url)
        yield simulator
        simulator.close()
