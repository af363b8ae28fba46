"""The clock of `payment-service dev`, on its operators' port: set it on, and what is due is done.

    GET  /dev/clock                                      what time it is
    POST /dev/clock  {"advance_seconds": 900}            go on by so much
    POST /dev/clock  {"now": "2026-12-01T00:00:00Z"}     go on until then

The bank's time goes on with ours. The answer comes when all that is due has been done, so expiry,
retries and retention can be seen without waiting. No other role has this.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from payment_service.domain.clock import OffsetClock
from payment_service.storage import outbox, payments, refunds, webhooks
from payment_service.storage.database import Database, Session
from payment_service.workers.ops_server import AsgiApp
from payment_service.workers.relay import Relay
from payment_service.workers.scheduler import Scheduler

PATH = "/dev/clock"
BODY_BYTES_MAX = 1024
ADVANCE_MAX = timedelta(days=3660)
SETTLE_SECONDS = 20.0  # of the world's time, for what is due
PAUSE_SECONDS = 0.05  # while others hold what we wait for

AdvanceBank = Callable[[timedelta], Awaitable[None]]
"""Moves the simulated bank's time on. Raises OSError when it cannot be reached."""


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """What a POST may say: one of the two."""

    advance_seconds: float | None = None
    now: datetime | None = None


class DevClock:
    """ASGI middleware before the operators' port.

    Args:
        app: The operators' port.
        clock: The service's, which is set on.
        advance_bank: Sets the simulated bank's clock on.
        database: Tells what is due.
        relay: Publishes; the one that runs in this process.
        scheduler: Does what is due; the one that runs in this process.
    """

    def __init__(
        self,
        app: AsgiApp,
        *,
        clock: OffsetClock,
        advance_bank: AdvanceBank,
        database: Database,
        relay: Relay,
        scheduler: Scheduler,
    ) -> None:
        self._app = app
        self._clock = clock
        self._advance_bank = advance_bank
        self._database = database
        self._relay = relay
        self._scheduler = scheduler

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve the clock, or what is behind."""
        if scope["type"] != "http" or scope["path"] != PATH:
            await self._app(scope, receive, send)
        elif scope["method"] == "GET":
            await _send(send, 200, self._time())
        elif scope["method"] == "POST":
            await _send(send, *await self._set_on(scope, receive))
        else:
            await _send(send, 405, {"error": "GET and POST only"})

    async def _set_on(self, scope: Any, receive: Any) -> tuple[int, dict[str, Any]]:
        # A page in the developer's browser must not be able to do this: no JSON without CORS.
        if not dict(scope["headers"]).get(b"content-type", b"").startswith(b"application/json"):
            return 415, {"error": "application/json only"}
        try:
            by = self._read(await _body(receive))
        except (ValueError, msgspec.MsgspecError) as error:
            return 400, {"error": str(error)}
        try:
            await self._advance_bank(by)  # first: if it fails, nothing has moved
        except OSError:
            return 502, {"error": "the simulated bank does not answer"}
        self._clock.advance(by)
        is_idle = await self._settle()
        return 200, self._time() | {"idle": is_idle}

    def _read(self, body: bytes) -> timedelta:
        wanted = msgspec.json.decode(body, type=Wanted)
        if (wanted.advance_seconds is None) is (wanted.now is None):
            raise ValueError("say advance_seconds or now")
        if wanted.now is not None:
            if wanted.now.tzinfo is None:
                raise ValueError("now needs an offset, such as Z")
            by = wanted.now - self._clock()
        else:
            seconds = wanted.advance_seconds or 0.0
            if not math.isfinite(seconds) or abs(seconds) > ADVANCE_MAX.total_seconds():
                raise ValueError("too far")
            by = timedelta(seconds=seconds)
        if not timedelta() <= by <= ADVANCE_MAX:
            raise ValueError("a clock goes forward, and ten years at most")
        return by

    async def _settle(self) -> bool:
        """Work until nothing is due and nothing waits; false when that takes too long."""
        loop = asyncio.get_running_loop()
        end = loop.time() + SETTLE_SECONDS
        while loop.time() < end:
            worked = await self._relay.run_once() + await self._scheduler.run_once()
            if worked:
                continue
            if not await self._database.read(self._is_anything_due):
                return True
            await asyncio.sleep(PAUSE_SECONDS)
        return False

    async def _is_anything_due(self, session: Session) -> bool:
        now = self._clock()
        waiting = await outbox.backlog(session)
        finders = (
            payments.list_overdue,
            payments.list_due,
            payments.list_closed_due,
            refunds.list_due,
            webhooks.list_due,
        )
        return waiting.pending > 0 or any(
            [await find(session, now=now, limit=1) for find in finders]
        )

    def _time(self) -> dict[str, Any]:
        ahead = self._clock.offset.total_seconds()
        return {"now": self._clock().isoformat(), "ahead_seconds": ahead}


async def _body(receive: Any) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if len(body) > BODY_BYTES_MAX:
            raise ValueError("too long")
        if not message.get("more_body", False):
            return body


async def _send(send: Any, status: int, content: dict[str, Any]) -> None:
    body = msgspec.json.encode(content)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
