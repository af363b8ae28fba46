"""Webhooks: what Stripe posts when something happens, signed anew with every try."""

import asyncio
import hashlib
import hmac
import json
import secrets
import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from stripe_simulator.books import Ledger
from stripe_simulator.config import Config
from stripe_simulator.objects import API_VERSION

TIMEOUT_SECONDS = 10.0
LOG_MAX = 1000
EVENTS_MAX = 10_000
PENDING_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Delivery:
    """One try to deliver a webhook."""

    event: str
    type: str
    attempt: int
    outcome: str  # the status, or what went wrong


class Webhooks:
    """Sends webhooks, again and again until they are acknowledged or the tries are used up.

    Attributes:
        is_on: Whether anything is sent.
    """

    def __init__(self, config: Config, ledger: Ledger, http: httpx.AsyncClient) -> None:
        self._config = config
        self._ledger = ledger
        self._http = http
        self._tasks: set[asyncio.Task[None]] = set()
        self.is_on = True
        self.events: deque[dict[str, Any]] = deque(maxlen=EVENTS_MAX)
        self.log: deque[Delivery] = deque(maxlen=LOG_MAX)

    @property
    def deliveries(self) -> list[dict[str, Any]]:
        """List the tries, oldest first."""
        return [asdict(delivery) for delivery in self.log]

    def tell(self, kind: str, entry: dict[str, Any]) -> None:
        """Report what has happened to an object, to an endpoint that wants to hear of it."""
        event = {
            "id": f"evt_{secrets.token_hex(12)}",
            "object": "event",
            "api_version": API_VERSION,
            "created": self._ledger.now(),
            "data": {"object": entry},
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": kind,
        }
        self.events.append(event)
        wanted = self._ledger.books.enabled_events
        if self.is_on and (kind in wanted or "*" in wanted):
            self.send(event)

    def send(self, event: dict[str, Any]) -> None:
        """Deliver an event."""
        if len(self._tasks) >= PENDING_MAX:
            return
        task = asyncio.create_task(self._deliver(event))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def written(self, event: dict[str, Any]) -> tuple[dict[str, str], str]:
        """Write a delivery: headers and body. Its time is the world's, not that of the books."""
        body = json.dumps(event, indent=2)
        seconds = int(time.time())
        signed = f"{seconds}.{body}".encode()
        digest = hmac.new(self._config.webhook_secret.encode(), signed, hashlib.sha256).hexdigest()
        headers = {
            "content-type": "application/json; charset=utf-8",
            "stripe-signature": f"t={seconds},v1={digest},v0={'0' * 64}",
        }
        return headers, body

    async def close(self) -> None:
        """Give up what is not delivered."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _deliver(self, event: dict[str, Any]) -> None:
        for attempt, delay in enumerate(self._config.webhook_delays_seconds, start=1):
            await asyncio.sleep(delay)
            url = self._ledger.books.webhook_url
            if url is None:
                return
            outcome = await self._post(url, event)
            self.log.append(Delivery(event["id"], event["type"], attempt, outcome))
            if outcome.startswith("2"):
                return

    async def _post(self, url: str, event: dict[str, Any]) -> str:
        headers, body = self.written(event)
        try:
            response = await self._http.post(
                url, content=body, headers=headers, timeout=TIMEOUT_SECONDS
            )
        except httpx.HTTPError as error:
            return type(error).__name__
        return str(response.status_code)
