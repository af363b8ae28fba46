"""Overload: three times as much as one process can do, and it goes on doing what it can.

What it can do is measured by a closed loop first. Then an open loop asks for three times that: its
requests leave at random times, whoever still waits. Those that are let in should be nearly as many
as without the crowd; the others are told at once to come back; and afterwards all is as before.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

import httpx

from tests.benchmarks import messages
from tests.benchmarks.load import closed_loop, open_loop
from tests.benchmarks.rounds import tell
from tests.benchmarks.rows.latency import poisson
from tests.benchmarks.rows.payments import readable
from tests.benchmarks.samples import Finding, Section, percentile
from tests.benchmarks.size import Size
from tests.benchmarks.stage import Service, Stage, WrongRows
from tests.support.process import wait_until

TIMES_CAPACITY = 3
GOODPUT_MIN = 0.8  # of the peak
RECOVERED_SECONDS_MAX = 30.0
SEED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the process is asked for."""

    name: str
    prepare: Callable[[int], Sequence[bytes]]
    count: int  # of a closed loop
    expected: HTTPStatus
    table: str = ""  # that holds a row for each that was acknowledged


@dataclass(slots=True)
class _Seen:
    """What the rounds came to."""

    acknowledged: int = 0
    goodput: list[float] = field(default_factory=list)  # to the peak
    afterwards: list[float] = field(default_factory=list)  # to the peak
    refused: list[float] = field(default_factory=list)  # percent
    refusal_ms: list[float] = field(default_factory=list)  # p99
    answer_ms: list[float] = field(default_factory=list)  # p99
    recovered_ms: list[float] = field(default_factory=list)


async def measure(stage: Stage, size: Size) -> list[Section]:
    """Overload creations, reads and webhooks."""
    service = await stage.service("bench_ours", "api")
    known = await readable(stage, service, service.token)
    chooser = random.Random(SEED)

    def creations(count: int) -> list[bytes]:
        return messages.creations(stage.take(count), count, service.token)

    def reads(count: int) -> list[bytes]:
        return messages.reads(chooser.choices(known, k=count), service.token)

    def webhooks(count: int) -> list[bytes]:
        return messages.webhooks(stage.take(count), count)

    works = (
        Work(name="create", prepare=creations, count=size.creates,
             expected=HTTPStatus.CREATED, table="payments"),
        Work(name="get", prepare=reads, count=size.reads, expected=HTTPStatus.OK),
        Work(name="webhook", prepare=webhooks, count=size.webhooks,
             expected=HTTPStatus.OK, table="webhook_events"),
    )  # fmt: skip
    return [await _overload(stage, service, size, work) for work in works]


async def _overload(stage: Stage, service: Service, size: Size, work: Work) -> Section:
    seen = _Seen()
    before = stage.count(service.database, work.table) if work.table else 0
    await _peak(service, size, work, seen)  # warms up
    for number in range(size.rounds):
        await _round(service, size, work, seen, number)
    if work.table:
        # One that was told to come back may be on record: it will find its answer there.
        recorded = stage.count(service.database, work.table) - before
        if recorded < seen.acknowledged:
            raise WrongRows(f"{seen.acknowledged} acknowledged, {recorded} rows of {work.table}")
    return _section(work, size, seen)


async def _round(service: Service, size: Size, work: Work, seen: _Seen, number: int) -> None:
    peak = await _peak(service, size, work, seen)
    times = poisson(random.Random(number), TIMES_CAPACITY * peak, size.overload_seconds)
    schedule = list(zip(times, work.prepare(len(times)), strict=True))
    load = await open_loop(service.port, schedule, expected=work.expected)
    seen.recovered_ms.append(_recover(service) * 1e3)
    afterwards = await _peak(service, size, work, seen)
    goodput = len(load.times) / load.seconds
    tell(
        f"{work.name}: {peak:,.0f}/s; of three times that {goodput:,.0f}/s;"
        f" then {afterwards:,.0f}/s"
    )
    seen.acknowledged += len(load.times)
    seen.goodput.append(goodput / peak)
    seen.afterwards.append(afterwards / peak)
    seen.refused.append(len(load.refused) / len(times) * 100)
    seen.refusal_ms.append(percentile(load.refused or [0.0], 0.99) * 1e3)
    seen.answer_ms.append(percentile(load.times or [0.0], 0.99) * 1e3)


async def _peak(service: Service, size: Size, work: Work, seen: _Seen) -> float:
    load = await closed_loop(
        [service.port], work.prepare(work.count),
        connections=size.connections, expected=work.expected,
    )  # fmt: skip
    seen.acknowledged += work.count
    return work.count / load.seconds


def _recover(service: Service) -> float:
    """Wait until somebody new is served again; return how many seconds that took."""
    began = time.perf_counter()
    url = f"http://127.0.0.1:{service.port}/v1/health"

    def is_served() -> bool:
        try:
            return httpx.get(url, timeout=1, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    wait_until(is_served, seconds=RECOVERED_SECONDS_MAX, what="the crowd has gone")
    return time.perf_counter() - began


def _section(work: Work, size: Size, seen: _Seen) -> Section:
    return Section(
        f"{work.name} x{TIMES_CAPACITY}",
        f"overload: {TIMES_CAPACITY} times the capacity, open loop,"
        f" {size.rounds} rounds of {size.overload_seconds:g} s",
        findings=[
            Finding(what="goodput / peak", values=seen.goodput, at_least=GOODPUT_MIN),
            Finding(what="peak afterwards / before", values=seen.afterwards),
            Finding(what="served again after", values=seen.recovered_ms, unit="ms"),
            Finding(what="refused with 503", values=seen.refused, unit="%"),
            Finding(what="a refusal, p99", values=seen.refusal_ms, unit="ms"),
            Finding(what="an answer, p99", values=seen.answer_ms, unit="ms"),
        ],
    )
