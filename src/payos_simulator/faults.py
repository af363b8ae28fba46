"""Faults: what the network and the server do to the next requests that match.

Kinds: `status` (answer so, do nothing), `slow` (wait first), `timeout_before` / `timeout_after` (do
not answer, without or after having done the work), `broken_before` / `broken_after` (answer half),
`not_json`, `bad_signature`, `code` (another code in the envelope).
"""

import asyncio
import json
import re
from dataclasses import dataclass
from typing import Any

SECONDS_MAX = 60.0


@dataclass(slots=True)
class Fault:
    """What happens, to whom, and how often."""

    kind: str
    path: str = ".*"  # a regular expression
    method: str = ""  # any
    times: int = 1
    status: int = 503
    seconds: float = 30.0
    code: str = ""
    description: str = ""
    retry_after: int | None = None

    def matches(self, scope: Any) -> bool:
        """Tell whether it is this request's turn."""
        if self.times <= 0 or (self.method and self.method != scope["method"]):
            return False
        return re.fullmatch(self.path, scope["path"]) is not None


class FaultyNetwork:
    """ASGI middleware that plays the faults; the admin API and the pages are spared."""

    def __init__(self, app: Any, faults: list[Fault]) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request, or play a fault."""
        if scope["type"] != "http" or scope["path"].startswith(("/_admin", "/web/")):
            await self._app(scope, receive, send)
            return
        fault = next((each for each in self._faults if each.matches(scope)), None)
        if fault is None:
            await self._app(scope, receive, send)
            return
        fault.times -= 1
        await self._play(fault, scope, receive, send)

    async def _play(self, fault: Fault, scope: Any, receive: Any, send: Any) -> None:
        seconds = min(fault.seconds, SECONDS_MAX)
        if fault.kind == "status":
            await _answer(send, fault.status, b"<html>error</html>", fault.retry_after)
        elif fault.kind == "slow":
            await asyncio.sleep(seconds)
            await self._app(scope, receive, send)
        elif fault.kind == "not_json":
            await _answer(send, 200, b"<html>maintenance</html>", None)
        elif fault.kind == "timeout_before":
            await asyncio.sleep(seconds)
        elif fault.kind == "broken_before":
            await _answer_half(send)
        else:
            _, body = await self._record(scope, receive)
            await self._after(fault, body, seconds, send)

    async def _after(self, fault: Fault, body: bytes, seconds: float, send: Any) -> None:
        """Spoil the answer of a request that was fulfilled."""
        if fault.kind == "timeout_after":
            await asyncio.sleep(seconds)
        elif fault.kind == "broken_after":
            await _answer_half(send)
        else:
            envelope = json.loads(body)
            if fault.kind == "bad_signature":
                envelope["signature"] = "0" * 64
            if fault.kind == "code":
                envelope |= {"code": fault.code, "desc": fault.description, "data": None}
            await _answer(send, 200, json.dumps(envelope).encode(), None)

    async def _record(self, scope: Any, receive: Any) -> tuple[int, bytes]:
        status, body = 0, b""

        async def keep(message: Any) -> None:
            nonlocal status, body
            status = message.get("status", status)
            body += message.get("body", b"")

        await self._app(scope, receive, keep)
        return status, body


async def _answer(send: Any, status: int, body: bytes, retry_after: int | None) -> None:
    headers = [(b"content-length", str(len(body)).encode())]
    if retry_after is not None:
        headers.append((b"retry-after", str(retry_after).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _answer_half(send: Any) -> None:
    """Announce more than is sent: the server closes the connection, the client sees it break."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"code":"00"', "more_body": True})
