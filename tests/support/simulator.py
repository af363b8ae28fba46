"""Runs the payOS simulator on a free port of this machine, and drives it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn

from payos_simulator.app import create_app
from payos_simulator.config import Channel, Config

START_SECONDS = 10
PAYMENT = Channel("test-client", "test-api-key", "test-checksum-key")
PAYOUT = Channel("test-payout-client", "test-payout-api-key", "test-payout-checksum-key")
ENVIRONMENT = {
    "PAYOS_CLIENT_ID": PAYMENT.client_id,
    "PAYOS_API_KEY": PAYMENT.api_key,
    "PAYOS_CHECKSUM_KEY": PAYMENT.checksum_key,
    "PAYOS_PAYOUT_CLIENT_ID": PAYOUT.client_id,
    "PAYOS_PAYOUT_API_KEY": PAYOUT.api_key,
    "PAYOS_PAYOUT_CHECKSUM_KEY": PAYOUT.checksum_key,
}


class Simulator:
    """A running simulator: its address, and its admin API."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.environment = {**ENVIRONMENT, "PAYOS_BASE_URL": base_url}
        self._http = httpx.Client(base_url=f"{base_url}/_admin", timeout=60, trust_env=False)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def pay(self, order_code: int | str, amount: int | None = None, **more: Any) -> list[str]:
        """Transfer money to a link; without `webhook=` nobody is told."""
        body = {"webhook": "off", **more} | ({} if amount is None else {"amount": amount})
        return list(self._post(f"/links/{order_code}/pay", body)["references"])

    def webhook(self, order_code: int | str) -> dict[str, Any]:
        """Get the last webhook of a link, as it would be delivered."""
        return dict(self._http.get(f"/links/{order_code}/webhook").raise_for_status().json())

    def ledger(self) -> dict[str, Any]:
        """Look into the books."""
        return dict(self._http.get("/ledger").raise_for_status().json())

    def link(self, order_code: int | str) -> dict[str, Any]:
        """Look at one link."""
        return dict(self.ledger()["links"][str(order_code)])

    def settle(self, reference: str, state: str) -> None:
        """Change the state of a payout."""
        self._post(f"/payouts/{reference}/state", {"state": state})

    def modes(self, **modes: Any) -> None:
        """Change how payouts behave, and which form webhooks have."""
        self._post("/modes", modes)

    def advance(self, seconds: float) -> None:
        """Move the bank's time on."""
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
def running(app: Any) -> Iterator[str]:
    """Serve an ASGI application on a free port in a thread; give its address."""
    config = uvicorn.Config(app, port=0, log_config=None, access_log=False, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + START_SECONDS
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        assert time.monotonic() < deadline, "the server did not start in time"
        thread.join(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(START_SECONDS)


@contextmanager
def running_simulator() -> Iterator[Simulator]:
    """Serve a simulator that forgets everything."""
    config = Config(payment=PAYMENT, payout=PAYOUT, public_url="http://simulator.test")
    with running(create_app(config)) as base_url:
        simulator = Simulator(base_url)
        yield simulator
        simulator.close()
