"""The operators' port: /livez, /readyz and /metrics. Never on the public port.

Live means that the loop turns; ready, that what the process needs answers. Three routes, so plain
ASGI; whoever composes the process serves it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from payment_service.telemetry.logging import get_logger

log = get_logger(__name__)

CHECK_TIMEOUT_SECONDS = 2.0

Check = Callable[[], Awaitable[None]]
"""Returns if something that the process needs answers; raises if not."""

AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]
_Answer = tuple[int, str, bytes]


class NotReady(Exception):
    """A check's own words: they are shown. Of other errors only the kind is."""


def build_ops_app(registry: CollectorRegistry, checks: Mapping[str, Check]) -> AsgiApp:
    """Build the application.

    Args:
        registry: The metrics.
        checks: What must answer for the process to be ready, by name; each has two seconds.
    """

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await _live_and_die(receive, send)
        elif scope["type"] == "http":
            await _send(scope, send, await _answer(scope, registry, checks))

    return app


async def _answer(scope: Any, registry: CollectorRegistry, checks: Mapping[str, Check]) -> _Answer:
    if scope["method"] not in {"GET", "HEAD"}:
        return 405, "text/plain", b"GET and HEAD only\n"
    match scope["path"]:
        case "/livez":
            return 200, "application/json", b'{"status":"ok"}'
        case "/readyz":
            return await _readiness(checks)
        case "/metrics":
            accepted = next((value for name, value in scope["headers"] if name == b"accept"), b"")
            encode, media_type = choose_encoder(accepted.decode("latin-1"))
            return 200, media_type, encode(registry)
        case _:
            return 404, "text/plain", b"/livez, /readyz and /metrics\n"


async def _readiness(checks: Mapping[str, Check]) -> _Answer:
    faults = await asyncio.gather(*(_fault(name, check) for name, check in checks.items()))
    missing = {name: fault for name, fault in zip(checks, faults, strict=True) if fault}
    body = {"status": "not ready" if missing else "ready", "missing": missing}
    return 503 if missing else 200, "application/json", msgspec.json.encode(body)


async def _fault(name: str, check: Check) -> str | None:
    """Run one check; return what is wrong, if anything."""
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
            await check()
    except TimeoutError:
        return "does not answer in time"
    except NotReady as error:
        return str(error)[:200]
    except Exception as error:  # noqa: BLE001  # whatever it is, we are not ready
        log.warning("process.not_ready", check=name, error=type(error).__name__)
        return type(error).__name__
    return None


async def _send(scope: Any, send: Any, answer: _Answer) -> None:
    status, media_type, body = answer
    headers = [
        (b"content-type", media_type.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    content = b"" if scope["method"] == "HEAD" else body
    await send({"type": "http.response.body", "body": content})


async def _live_and_die(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
