"""The contract in this process, without sockets: what each way of checking adds to none."""

import time
from collections import deque
from collections.abc import Awaitable, Callable
from statistics import median
from typing import Any

import msgspec

from tests.benchmarks.peers.bare_contract import bare_app
from tests.benchmarks.rounds import take_turns
from tests.benchmarks.samples import Finding, Sample, Section
from tests.benchmarks.size import Size
from tests.benchmarks.stage import Stage
from tests.contract.stub_service import HOOK, JSON, PAY, WRITE, Stub, make_app, make_scope

MODES = ("compiled", "lean", "stock")
STOCK_SHARE = 40  # the stock validator is so much slower: so many fewer calls
OPERATIONS = {
    "create": ("/v1/payments", WRITE, PAY),
    "webhook": ("/v1/webhooks/payos", JSON, HOOK),
}
Call = Callable[[], Awaitable[None]]


async def measure(_stage: Stage, size: Size) -> list[Section]:
    """Compare all modes of checking on both operations."""
    return [await _compare(name, size, *operation) for name, operation in OPERATIONS.items()]


async def _compare(name: str, size: Size, path: str, headers: dict[str, str], body: Any) -> Section:
    apps: dict[str, Any] = {"bare": bare_app()}
    for mode in MODES:
        apps[mode] = make_app(Stub(calls=deque(maxlen=1)), mode=mode)  # it need not remember
    calls = {mode: (mode, caller(app, path, headers, body)) for mode, app in apps.items()}

    async def run(side: tuple[str, Call], times: int) -> Sample:
        mode, call = side
        us = await _microseconds(call, times // STOCK_SHARE if mode == "stock" else times)
        return Sample(rate=1e6 / us, cpu_us=us)

    section = Section(f"in {name}", f"POST {path} in this process, no sockets", "calls/s")
    section.sides = await take_turns(
        calls, size.rounds, prepare=lambda _number: size.in_process, run=run
    )
    us = {mode: section.measured(mode, "cpu_us") for mode in apps}
    section.findings = [
        Finding(
            what=f"CPU added by {mode}",
            values=[one - other for one, other in zip(us[mode], us["bare"], strict=True)],
            unit="us",
        )
        for mode in MODES
    ]
    # A smoke alarm, far from noise: the compiled plan must not fall back to openapi-core's pace.
    if median(us["compiled"]) > median(us["lean"]):
        section.alarm = "the compiled contract is slower than the lean one"
    return section


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


async def _microseconds(call: Call, times: int) -> float:
    started = time.process_time()
    for _ in range(times):
        await call()
    return (time.process_time() - started) / times * 1e6
