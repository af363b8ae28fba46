"""Faults: what the network and the server do to the next requests that match.

A fault says how a request is answered; `_before` or `_after` behind its kind says whether it was
fulfilled first, so that every trouble can be had in both kinds: `reset_before` never acted,
`reset_after` did. Without either it did not, but for those that spoil a real answer (*).

`status`            with `status` and a page of HTML, for a redirection with a place to go to
`not_json`          with a page of HTML and 200
`broken`            half, and the connection is closed
`reset`             not at all: the connection is reset
`cut`               with the headers, then the connection is reset
`timeout`           not at all for `seconds`
`drip`              a byte every `seconds`
`slow`              rightly, after `seconds`
`code` *            with `code` and `description` in the envelope, and no data
`altered` *         for something else: `data` has other members, rightly signed
`bad_signature` *   with a signature that is not payOS's
"""

import asyncio
import json
import os
import re
import socket
import struct
from dataclasses import dataclass, field
from typing import Any

from payos_simulator.envelope import SIGNATURE, Resign

SECONDS_MAX = 60.0
_MOMENT = re.compile(r"(\w+)_(before|after)")
_SPOILS_AN_ANSWER = frozenset({"code", "altered", "bad_signature"})
_HTML = b"<html>maintenance</html>"
_RESET_NOT_CLOSE = struct.pack("ii", 1, 0)


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
    data: dict[str, Any] = field(default_factory=dict)
    retry_after: int | None = None

    @property
    def answer(self) -> str:
        """The kind without the moment."""
        moment = _MOMENT.fullmatch(self.kind)
        return moment[1] if moment else self.kind

    @property
    def acts(self) -> bool:
        """Whether the request is fulfilled, whatever its sender gets to hear."""
        moment = _MOMENT.fullmatch(self.kind)
        return moment[2] == "after" if moment else self.kind in _SPOILS_AN_ANSWER

    def matches(self, scope: Any) -> bool:
        """Tell whether it is this request's turn."""
        if self.times <= 0 or (self.method and self.method != scope["method"]):
            return False
        return re.fullmatch(self.path, scope["path"]) is not None


@dataclass(slots=True)
class _Reply:
    status: int
    body: bytes
    headers: dict[bytes, bytes] = field(default_factory=dict)


class FaultyNetwork:
    """ASGI middleware that plays the faults; the admin API and the pages are spared."""

    def __init__(self, app: Any, faults: list[Fault], resign: Resign) -> None:
        self._app = app
        self._faults = faults
        self._resign = resign

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
        if fault.answer == "slow":
            await asyncio.sleep(seconds)
            await self._app(scope, receive, send)
            return
        real = await self._fulfil(scope, receive) if fault.acts else _Reply(200, b'{"code":"00"}')
        if fault.answer == "reset":
            _reset(send)
        elif fault.answer == "cut":
            await _start(send, real, promised=len(real.body))
            _reset(send)
        elif fault.answer == "timeout":
            await _wait_for_hang_up(receive, seconds)
            _reset(send)
        elif fault.answer == "drip":
            await _drip(send, receive, real, seconds)
        elif fault.answer == "broken":
            await _start(send, real, promised=len(real.body) + 1000)
            await send({"type": "http.response.body", "body": real.body[:-1], "more_body": True})
        else:
            await _answer(send, self._spoil(fault, real))

    def _spoil(self, fault: Fault, real: _Reply) -> _Reply:
        if fault.answer == "status":
            return _Reply(fault.status, _HTML, _headers_of(fault))
        if fault.answer == "not_json":
            return _Reply(200, _HTML)
        envelope = json.loads(real.body)
        if fault.answer == "code":
            envelope |= {"code": fault.code, "desc": fault.description, "data": None}
        elif fault.answer == "altered":
            envelope["data"] = (envelope.get("data") or {}) | fault.data
            real.headers |= self._resign(envelope, real.headers)
        else:
            assert fault.answer == "bad_signature", fault.kind
            envelope["signature"] = "0" * 64
            real.headers[SIGNATURE] = b"0" * 64
        return _Reply(real.status, json.dumps(envelope).encode(), real.headers)

    async def _fulfil(self, scope: Any, receive: Any) -> _Reply:
        reply = _Reply(500, b"")

        async def keep(message: Any) -> None:
            reply.status = message.get("status", reply.status)
            reply.headers |= dict(message.get("headers", ()))
            reply.body += message.get("body", b"")

        await self._app(scope, receive, keep)
        return reply


def _headers_of(fault: Fault) -> dict[bytes, bytes]:
    headers = {}
    if fault.retry_after is not None:
        headers[b"retry-after"] = str(fault.retry_after).encode()
    if fault.status in range(300, 400):
        headers[b"location"] = b"/"
    return headers


async def _answer(send: Any, reply: _Reply) -> None:
    await _start(send, reply, promised=len(reply.body))
    await send({"type": "http.response.body", "body": reply.body})


async def _start(send: Any, reply: _Reply, *, promised: int) -> None:
    headers = reply.headers | {b"content-length": str(promised).encode()}
    message = {"type": "http.response.start", "status": reply.status}
    await send(message | {"headers": list(headers.items())})


async def _drip(send: Any, receive: Any, reply: _Reply, seconds: float) -> None:
    await _start(send, reply, promised=len(reply.body))
    for number in range(len(reply.body)):
        byte = reply.body[number : number + 1]
        await send({"type": "http.response.body", "body": byte, "more_body": True})
        if await _wait_for_hang_up(receive, seconds):
            return
    await send({"type": "http.response.body"})


async def _wait_for_hang_up(receive: Any, seconds: float) -> bool:
    """Wait, but not for somebody who has left."""
    try:
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    return True


def _reset(send: Any) -> None:
    """Reset the connection: what uvicorn calls `send` is a method of the exchange, and knows it."""
    transport = send.__self__.transport
    if transport.is_closing():
        return  # its number may be another connection's by now
    number = os.dup(transport.get_extra_info("socket").fileno())
    with socket.socket(fileno=number) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_NOT_CLOSE)
    transport.abort()
