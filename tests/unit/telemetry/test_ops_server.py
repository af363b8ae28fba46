"""The operators' port."""

import asyncio

import httpx
import pytest

from payment_service.telemetry.metrics import Metrics
from payment_service.workers import ops_server
from payment_service.workers.ops_server import NotReady, build_ops_app


async def fine() -> None:
    """Answer."""


async def hang() -> None:
    await asyncio.Event().wait()


async def fail() -> None:
    raise ConnectionError("mysql://root:canary@db")


async def behind() -> None:
    raise NotReady("run payment-service migrate: 2 migrations to go")


async def get(
    path: str, method: str = "GET", headers: dict | None = None, **checks
) -> httpx.Response:
    app = build_ops_app(Metrics(version="1").registry, checks)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://ops") as client:
        return await client.request(method, path, headers=headers)


async def test_a_process_is_live_also_when_it_is_not_ready():
    answer = await get("/livez", database=fail)

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_a_process_is_ready_when_everything_answers():
    answer = await get("/readyz", database=fine, broker=fine)

    assert answer.status_code == 200
    assert answer.json() == {"status": "ready", "missing": {}}


async def test_what_is_missing_is_named_and_no_secret_is(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ops_server, "CHECK_TIMEOUT_SECONDS", 0.05)

    answer = await get("/readyz", database=fail, schema=behind, broker=hang, provider=fine)

    assert answer.status_code == 503
    assert answer.json() == {
        "status": "not ready",
        "missing": {
            "database": "ConnectionError",
            "schema": "run payment-service migrate: 2 migrations to go",
            "broker": "does not answer in time",
        },
    }


async def test_checks_run_side_by_side(monkeypatch: pytest.MonkeyPatch):
    meeting = asyncio.Barrier(3)

    answer = await get("/readyz", a=meeting.wait, b=meeting.wait, c=meeting.wait)

    assert answer.status_code == 200


async def test_metrics_are_shown_as_text():
    answer = await get("/metrics")

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "# HELP payments_outbox_pending " in answer.text


async def test_metrics_are_shown_as_openmetrics_to_those_who_ask():
    answer = await get("/metrics", headers={"accept": "application/openmetrics-text"})

    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


@pytest.mark.parametrize("path", ["/", "/livez/", "/v1/payments", "/%2e%2e/metrics", "//metrics"])
async def test_there_is_nothing_else(path: str):
    assert (await get(path)).status_code == 404


async def test_only_reading_is_allowed():
    assert (await get("/metrics", "POST")).status_code == 405
    head = await get("/livez", "HEAD")
    assert (head.status_code, head.content) == (200, b"")


async def test_the_lifespan_protocol_is_answered():
    incoming = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    outgoing = []

    async def receive() -> dict:
        return incoming.pop(0)

    async def send(message: dict) -> None:
        outgoing.append(message["type"])

    await build_ops_app(Metrics(version="1").registry, {})({"type": "lifespan"}, receive, send)

    assert outgoing == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
