"""make bench: the service against its peers, as ratios, in one run on one machine.

BENCH_QUICK=1 is a smoke run. BENCH="webhook,create" chooses rows. See `size.py` for the rest.
"""

import gc
import os
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from deploy.stack.errors import Unavailable
from tests.benchmarks import chart, machine, report
from tests.benchmarks.load import LoadFailed
from tests.benchmarks.rows import (
    consumer,
    contract,
    growth,
    latency,
    memory,
    overload,
    payments,
    pipeline,
    relay,
    scaling,
    telemetry,
    webhooks,
)
from tests.benchmarks.samples import Section
from tests.benchmarks.size import Size
from tests.benchmarks.stage import Stage, WrongRows

Row = Callable[[Stage, Size], Awaitable[list[Section]]]
ROWS: dict[str, Row] = {
    "pipeline": pipeline.measure,
    "contract": contract.measure,
    "webhook": webhooks.measure,
    "create": payments.measure_creations,
    "get": payments.measure_reads,
    "consumer": consumer.measure,  # before there is a relay that would be busy with what it writes
    "relay": relay.measure,
    "latency": latency.measure,
    "overload": overload.measure,
    "telemetry": telemetry.measure,
    "memory": memory.measure,
    "growth": growth.measure,
    "scaling": scaling.measure,
}
RESULTS = Path("var/bench")
WRONG, USAGE = 1, 2
FAILURES = (LoadFailed, WrongRows, TimeoutError, AssertionError, OSError)
"""What ends a row and not the run: the other rows still tell something."""


def main() -> int:
    """Measure what was asked for, and say what it means."""
    size = Size.read()
    names = [each.strip() for each in os.environ.get("BENCH", ",".join(ROWS)).split(",")]
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        print(f"bench: no such row: {', '.join(unknown)}; there are {', '.join(ROWS)}")
        return USAGE
    names.sort(key=list(ROWS).index)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # peers are ended, too
    os.sched_setaffinity(0, machine.NEIGHBOURS)
    gc.freeze()
    with tempfile.TemporaryDirectory(prefix="payments-bench-") as folder:
        outcome = uvloop.run(run(size, names, Path(folder)))
    print(report.summary(outcome.sections))
    if size.is_quick:
        print("\nbench: a smoke run, its figures mean nothing")
    RESULTS.mkdir(parents=True, exist_ok=True)
    about = {
        "about": outcome.about,
        "size": size,
        "skipped": outcome.skipped,
        "failed": outcome.failed,
    }
    report.write_json(RESULTS / "results.json", about, outcome.sections)
    (RESULTS / "chart.svg").write_text(chart.draw(outcome.sections))
    print(f"\nbench: {RESULTS}/results.json and chart.svg have it all")
    return verdict(outcome)


@dataclass(slots=True)
class Outcome:
    """What a run has measured, and what it could not."""

    about: dict[str, str] = field(default_factory=machine.description)
    sections: list[Section] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


async def run(size: Size, names: list[str], folder: Path) -> Outcome:
    """Measure row by row."""
    outcome = Outcome()
    described = ", ".join(f"{name} {text}" for name, text in outcome.about.items())
    print(f"bench: {described}", flush=True)
    async with AsyncExitStack() as stack:
        stage = Stage(folder, stack)
        for name in names:
            started = time.monotonic()
            print(f"\n{name} ...", flush=True)
            try:
                measured = await ROWS[name](stage, size)
            except Unavailable as reason:
                outcome.skipped[name] = str(reason)
                print(f"  skipped: {reason}", flush=True)
                continue
            except FAILURES as error:
                outcome.failed[name] = f"{type(error).__name__}: {error}"
                print(f"  failed: {outcome.failed[name]}", flush=True)
                continue
            for section in measured:
                print(report.section_text(section))
            print(f"  [{time.monotonic() - started:.0f} s]", flush=True)
            outcome.sections += measured
        outcome.about |= stage.versions()
    return outcome


def verdict(outcome: Outcome) -> int:
    """Tell whether something is wrong: answers, rows, an alarm, servers that must not be missing.

    Targets that are not reached are told and no failure: a machine under load would decide.
    """
    faults = [f"{section.name}: {section.alarm}" for section in outcome.sections if section.alarm]
    faults += [f"{name}: {error}" for name, error in outcome.failed.items()]
    if os.environ.get("REQUIRE_STACK") == "1":
        faults += [
            f"REQUIRE_STACK=1, but {name}: {reason}" for name, reason in outcome.skipped.items()
        ]
    for fault in faults:
        print(f"bench: {fault}")
    return WRONG if faults else 0


if __name__ == "__main__":
    sys.exit(main())
