"""make bench: what the contract costs, against the same work on bare Starlette without any check.

One process, no sockets, variants interleaved, medians of rounds: read the ratios, not the times.
BENCH_QUICK=1 is a smoke run.
"""

import asyncio
import gc
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from generated.api import models
from tests.contract.stub_service import (
    HOOK,
    JSON,
    PAY,
    WRITE,
    example,
    make_app,
    make_scope,
)

QUICK = bool(os.environ.get("BENCH_QUICK"))
ROUNDS = 5 if QUICK else 15
CALLS = 300 if QUICK else 1500
CALLS_STOCK = 10 if QUICK else 40
Call = Callable[[], Awaitable[None]]


def bare_app() -> Starlette:
    """The same operations as a good engineer writes them without a contract."""
    payment = msgspec.convert(example("PendingPayment"), models.Payment)
    create = msgspec.json.Decoder(models.CreatePaymentRequest)
    webhook = msgspec.json.Decoder(models.PayosWebhook)
    encode = msgspec.json.Encoder().encode

    async def create_payment(request: Request) -> Response:
        create.decode(await request.body())
        headers = {"location": "/v1/payments/x"}
        return Response(encode(payment), 201, headers, "application/json")

    async def receive(request: Request) -> Response:
        webhook.decode(await request.body())
        answer = models.WebhookAcknowledgement(success=True)
        return Response(encode(answer), media_type="application/json")

    return Starlette(
        routes=[
            Route("/v1/payments", create_payment, methods=["POST"]),
            Route("/v1/webhooks/payos", receive, methods=["POST"]),
        ]
    )


def caller(app: Any, path: str, headers: dict[str, str], body: Any) -> Call:
    """Prepare a request that can be sent again and again."""
    raw = msgspec.json.encode(body)

    async def receive() -> Any:
        return {"type": "http.request", "body": raw, "more_body": False}

    async def send(message: Any) -> None:
        assert message.get("status", 200) < 400, message

    async def call() -> None:
        await app(make_scope("POST", path, headers), receive, send)

    return call


async def measure(call: Call, times: int) -> float:
    """Return the microseconds that one call takes."""
    started = time.process_time()
    for _ in range(times):
        await call()
    return (time.process_time() - started) / times * 1e6


async def compare(path: str, headers: dict[str, str], body: Any) -> dict[str, list[float]]:
    """Measure all variants of one operation, interleaved."""
    apps: dict[str, Any] = {"bare": bare_app()}
    apps |= {mode: make_app(mode=mode) for mode in ("compiled", "lean", "stock")}
    calls = {name: caller(app, path, headers, body) for name, app in apps.items()}
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        await measure(call, 5)
    for _ in range(ROUNDS):
        for name, call in calls.items():
            times = CALLS_STOCK if name == "stock" else CALLS
            taken[name].append(await measure(call, times))
    return taken


def report(title: str, taken: dict[str, list[float]]) -> dict[str, Any]:
    """Print a table and return its numbers."""
    bare = statistics.median(taken["bare"])
    print(f"\n{title}")
    print(f"  {'variant':10} {'CPU us':>9} {'min':>8} {'max':>8} {'added us':>9} {'x bare':>7}")
    rows = {}
    for name, values in taken.items():
        median = statistics.median(values)
        rows[name] = {"us": median, "min": min(values), "max": max(values), "x": bare / median}
        print(f"  {name:10} {median:9.1f} {min(values):8.1f} {max(values):8.1f}"
              f" {median - bare:9.1f} {bare / median:7.2f}")  # fmt: skip
    return rows


async def run() -> int:
    """Run all comparisons."""
    gc.collect()
    gc.freeze()
    names = ("openapi-core", "jsonschema-rs", "msgspec", "starlette")
    versions = {name: version(name) for name in names} | {"python": platform.python_version()}
    print("versions:", ", ".join(f"{name} {number}" for name, number in versions.items()))
    results = {
        "createPayment": report("POST /v1/payments", await compare("/v1/payments", WRITE, PAY)),
        "receivePayosWebhook": report(
            "POST /v1/webhooks/payos", await compare("/v1/webhooks/payos", JSON, HOOK)
        ),
    }
    print("\n" + json.dumps({"versions": versions, "results": results}))
    # A smoke alarm, far from noise: the compiled plan must not fall back to openapi-core's pace.
    return int(results["createPayment"]["compiled"]["us"] > results["createPayment"]["lean"]["us"])


if __name__ == "__main__":
    sys.exit(asyncio.run(run()))
