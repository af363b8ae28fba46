"""What being seen costs: the webhook path without and with logs, metrics and traces.

One process a variant, short rounds interleaved, CPU time of all threads. What is added is the
median of each round's ratio to the silent one of the same round, which a noisy machine hardly
moves. The database is SQLite. BENCH_QUICK=1 is a smoke run.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from typing import Any

import msgspec
from prometheus_client import Counter, Gauge, Histogram

from payment_service.providers.payos.signature import sign_data
from payment_service.telemetry import logging
from tests.contract.stub_service import HOOK, JSON, make_scope
from tests.support.otlp import running_collector
from tests.support.service import environment, running_service
from tests.support.simulator import ENVIRONMENT, PAYMENT

QUICK = bool(os.environ.get("BENCH_QUICK"))
ROUNDS = 12 if QUICK else 60
CALLS = 40
TARGET = 0.10  # of the path, at the default sampling
VARIANTS: dict[str, dict[str, str]] = {
    "silent": {"BENCH_LOG_LEVEL": "CRITICAL", "BENCH_UNCOUNTED": "1"},
    "logs and metrics": {"BENCH_LOG_LEVEL": "INFO"},
    "default": {"BENCH_LOG_LEVEL": "INFO", "BENCH_TRACED": "1"},
    "every trace": {
        "BENCH_LOG_LEVEL": "INFO", "BENCH_TRACED": "1", "OTEL_TRACES_SAMPLER": "always_on",
    },
}  # fmt: skip


class Variant:
    """A child that serves webhooks when it is told to."""

    def __init__(self, environ: dict[str, str], collector: str) -> None:
        more = dict(environ)
        if more.pop("BENCH_TRACED", ""):
            more |= {"OTEL_EXPORTER_OTLP_ENDPOINT": collector}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.telemetry", "serve"],
            env={**os.environ, **more}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def measure(self) -> float:
        """Have a round served; return the microseconds of CPU that one request took."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """Let it end."""
        self._process.communicate()


def count_nothing() -> None:
    """Take the metrics out."""
    for kind in (Counter, Gauge, Histogram):
        for method in ("labels", "inc", "set", "observe"):
            if hasattr(kind, method):
                setattr(kind, method, lambda metric, *_: metric)


async def serve() -> None:
    """Serve a round for each line that comes; answer with what a request took."""
    if os.environ.get("BENCH_UNCOUNTED"):
        count_nothing()
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:  # noqa: ASYNC230, PTH123
        logging.configure(os.environ["BENCH_LOG_LEVEL"], nowhere)
        settings = environment(f"sqlite+aiosqlite:///{folder}/b.db", ENVIRONMENT) | {
            "PAYOS_BASE_URL": "http://127.0.0.1:9"
        }
        async with running_service(settings) as harness:
            app = harness.service.api()
            number = 0
            while await asyncio.to_thread(sys.stdin.readline):
                bodies = [_webhook(number + n) for n in range(CALLS)]
                number += CALLS
                started = time.process_time()
                for body in bodies:
                    await _post(app, body)
                taken = (time.process_time() - started) / CALLS * 1e6
                print(taken, flush=True)


def _webhook(number: int) -> bytes:
    data = HOOK["data"] | {"orderCode": 10**9 + number, "reference": f"FT{number}"}
    signed = HOOK | {"data": data, "signature": sign_data(data, PAYMENT.checksum_key)}
    return msgspec.json.encode(signed)


async def _post(app: Any, body: bytes) -> None:
    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        assert message.get("status", 200) == 200, message

    # A task of its own, as a server gives each request one: what is bound stays in it.
    await asyncio.create_task(app(make_scope("POST", "/v1/webhooks/payos", JSON), receive, send))


def _added(values: list[float], silent: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(values, silent, strict=True)) - 1


def main() -> int:
    """Measure all variants, interleaved, and print a table."""
    with running_collector() as collector, ExitStack() as stack:
        children = {name: Variant(environ, collector.url) for name, environ in VARIANTS.items()}
        for child in children.values():
            stack.callback(child.close)
            child.measure()  # warm
        taken: dict[str, list[float]] = {name: [] for name in children}
        for _ in range(ROUNDS):
            for name, child in children.items():
                taken[name].append(child.measure())
        spans = len(collector.spans())
    print(f"\nPOST /v1/webhooks/payos on SQLite, {spans} spans left")
    print(f"  {'variant':18} {'CPU us':>9} {'min':>8} {'max':>8} {'added':>8}")
    for name, values in taken.items():
        median = statistics.median(values)
        print(f"  {name:18} {median:9.0f} {min(values):8.0f} {max(values):8.0f}"
              f" {_added(values, taken['silent']):8.1%}")  # fmt: skip
    added = _added(taken["default"], taken["silent"])
    print(f"  target at the default sampling: {TARGET:.0%}, measured {added:.1%}")
    # A smoke alarm, far from noise.
    return int(added > 5 * TARGET)


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        asyncio.run(serve())
    else:
        sys.exit(main())
