"""The operators' port: /livez, /readyz and /metrics. Never on the public port."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

CHECK_TIMEOUT_SECONDS = 2.0
Check = Callable[[], Awaitable[object]]


class OpsApp:
    """A small ASGI application.

    Args:
        registry: The metrics.
        checks: What must answer for the process to be ready, by name.
        before_scrape: Brings gauges up to date.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        checks: Mapping[str, Check],
        before_scrape: Callable[[], None] = lambda: None,
    ) -> None:
        self._registry = registry
        self._checks = checks
        self._before_scrape = before_scrape

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        route = {"/livez": self._live, "/readyz": self._ready, "/metrics": self._metrics}.get(
            scope["path"]
        )
        status, media_type, body = (404, "text/plain", b"not found\n")
        if route is not None:
            status, media_type, body = await route()
        headers = [
            (b"content-type", media_type.encode()),
            (b"content-length", str(len(body)).encode()),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _live(self) -> tuple[int, str, bytes]:
        return 200, "application/json", b'{"status":"ok"}'

    async def _ready(self) -> tuple[int, str, bytes]:
        names = list(self._checks)
        faults = await asyncio.gather(*(self._fault(self._checks[name]) for name in names))
        missing = {name: fault for name, fault in zip(names, faults, strict=True) if fault}
        status = "ready" if not missing else "not ready"
        body = msgspec.json.encode({"status": status, "missing": missing})
        return 200 if not missing else 503, "application/json", body

    async def _fault(self, check: Check) -> str | None:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
                await check()
        except TimeoutError:
            return "does not answer in time"
        except Exception as error:  # noqa: BLE001  # whatever it is, we are not ready
            return str(error)[:200] or type(error).__name__
        return None

    async def _metrics(self) -> tuple[int, str, bytes]:
        self._before_scrape()
        return 200, CONTENT_TYPE_LATEST, generate_latest(self._registry)
