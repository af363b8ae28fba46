"""Rounds: the sides take turns at the same work, so that what disturbs one disturbs all."""

import gc
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from tests.benchmarks import machine
from tests.benchmarks.load import closed_loop
from tests.benchmarks.samples import Sample, percentile

Side = TypeVar("Side")
Work = TypeVar("Work")


async def take_turns(
    sides: Mapping[str, Side],
    rounds: int,
    *,
    prepare: Callable[[int], Work],
    run: Callable[[Side, Work], Awaitable[Sample]],
) -> dict[str, list[Sample]]:
    """Have every side do the work of every round; who begins changes.

    The first round warms up (imports, caches, connections, prepared statements): it is done in full
    and not counted.

    Args:
        sides: Who takes part.
        rounds: How many are counted.
        prepare: Makes the work of a round, numbered from 0.
        run: Does the work and measures it.
    """
    taken: dict[str, list[Sample]] = {name: [] for name in sides}
    names = list(sides)
    for number in range(rounds + 1):
        work = prepare(number)
        gc.collect()
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            sample = await run(sides[name], work)
            tell(f"{name:14} round {number or 'warm'}: {sample.rate:,.0f}/s")
            if number:
                taken[name].append(sample)
    return taken


async def send_all(
    pids: Sequence[int],
    ports: Sequence[int],
    requests: Sequence[bytes],
    *,
    connections: int,
    expected: int,
) -> Sample:
    """Send requests in a closed loop, and measure the processes that answer."""
    before, beside = sum(map(machine.cpu_seconds, pids)), machine.busy_seconds(machine.NEIGHBOURS)
    load = await closed_loop(ports, requests, connections=connections, expected=expected)
    used = sum(map(machine.cpu_seconds, pids)) - before
    beside = machine.busy_seconds(machine.NEIGHBOURS) - beside
    return Sample(
        rate=len(requests) / load.seconds,
        cpu_us=used / len(requests) * 1e6,
        busy=used / load.seconds,
        beside=beside / load.seconds / len(machine.NEIGHBOURS),
        p50_ms=percentile(load.times, 0.50) * 1e3,
        p99_ms=percentile(load.times, 0.99) * 1e3,
    )


def tell(line: str) -> None:
    """Say how far it is."""
    print(f"    {line}", flush=True)
