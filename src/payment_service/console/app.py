"""The operators' console: a page before the operators' port, and the answers that it asks for.

    GET    /console                       the page; it holds nothing until somebody has signed in
    POST   /console/session               {"name", "token"}: sign in; DELETE: out; GET: who am I
    GET    /console/overview              what waits, and how this process is
    GET    /console/payments?text=        payments by any id, order or reference
    GET    /console/exceptions            money that somebody must decide about
    GET    /console/webhooks              those that were given up; /console/webhooks/ID: one
    POST   /console/webhooks/ID/replay    {"note"}: the one thing that it changes

Without PAYMENTS_OPS_TOKEN nothing of it exists. Why it is so: docs/decisions/0019.
"""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from payment_service.console.desk import Desk
from payment_service.console.exchange import HTML, Answer, Call, Refused, send_answer, told
from payment_service.console.gate import PATH, Gate
from payment_service.domain.errors import (
    InvalidStateTransition,
    NotFound,
    StorageUnavailable,
)
from payment_service.domain.ids import is_id
from payment_service.telemetry.logging import get_logger

log = get_logger(__name__)

AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]

FOLDER = Path(__file__).with_name("static")
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
SEARCH_MAX = 128
NOTE_MAX = 255
_REPLAY = re.compile(rf"{PATH}/webhooks/([a-z0-9_]+)/replay")
_WEBHOOK = re.compile(rf"{PATH}/webhooks/([a-z0-9_]+)")


class Replay(msgspec.Struct, forbid_unknown_fields=True):
    """What the form sends."""

    note: str


class Console:
    """ASGI middleware before the operators' port.

    Args:
        app: The operators' port.
        gate: Says who may come in.
        desk: Answers.
    """

    def __init__(self, app: AsgiApp, gate: Gate, desk: Desk) -> None:
        self._app = app
        self._gate = gate
        self._desk = desk
        self._files = {
            f"{PATH}/{path.name}": Answer(200, path.read_bytes(), MEDIA_TYPES[path.suffix])
            for path in FOLDER.iterdir()
            if path.suffix in MEDIA_TYPES
        }
        self._files[PATH] = Answer(200, (FOLDER / "index.html").read_bytes(), HTML)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve the console, or what is behind."""
        if scope["type"] != "http" or not _is_ours(scope["path"]):
            await self._app(scope, receive, send)
            return
        call = Call(scope, receive)
        try:
            answer = await self._answer(call)
        except Refused as refusal:
            answer = told({"error": str(refusal)}, status=refusal.status, headers=refusal.headers)
            if refusal.status in {403, 429}:
                log.warning("console.refused", path=call.path, status=refusal.status)
        except NotFound as error:
            answer = told({"error": str(error)}, status=404)
        except InvalidStateTransition as error:
            answer = told({"error": str(error)}, status=409)
        except StorageUnavailable as error:
            answer = told({"error": str(error)}, status=503)
        await send_answer(send, answer, is_head=call.method == "HEAD")

    async def _answer(self, call: Call) -> Answer:
        match call.method:
            case "GET" | "HEAD":
                return self._files.get(call.path) or await self._read(call)
            case "POST" | "DELETE":
                return await self._write(call)
            case _:
                raise Refused(405, "GET, POST and DELETE only.")

    async def _read(self, call: Call) -> Answer:
        if call.path == f"{PATH}/session":
            return told({"name": self._gate.find_operator(call)})
        self._gate.operator(call)
        match call.path.removeprefix(f"{PATH}/"):
            case "overview":
                return told(await self._desk.overview())
            case "payments":
                return told(await self._desk.find(_text(call.parameter("text"), SEARCH_MAX)))
            case "exceptions":
                return told(await self._desk.open_exceptions())
            case "webhooks":
                return told(await self._desk.dead_letters())
            case _:
                return told(await self._desk.webhook(_id(_WEBHOOK, call.path)))

    async def _write(self, call: Call) -> Answer:
        if call.path == f"{PATH}/session":
            is_in = call.method == "POST"
            cookie = await self._gate.sign_in(call) if is_in else self._gate.sign_out(call)
            return Answer(204, headers={"set-cookie": cookie})
        operator = self._gate.operator(call)
        webhook_id = _id(_REPLAY, call.path)
        if call.method != "POST":
            raise Refused(405, "POST only.")
        call.must_come_from_the_page()
        note = _text((await call.read(Replay)).note, NOTE_MAX)
        await self._desk.replay(webhook_id, operator=operator, note=note)
        log.info("console.replayed", webhook_id=webhook_id)
        return told({"outcome": "will be applied again"})


def _is_ours(path: str) -> bool:
    return path == PATH or path.startswith(f"{PATH}/")


def _id(pattern: re.Pattern[str], path: str) -> str:
    found = pattern.fullmatch(path)
    if found is None or not is_id(found[1]):
        raise Refused(404, "There is nothing here.")
    return found[1]


def _text(text: str, longest: int) -> str:
    text = text.strip()
    if not text or len(text) > longest or not text.isprintable():
        raise Refused(400, f"Write 1 to {longest} characters, in one line.")
    return text
