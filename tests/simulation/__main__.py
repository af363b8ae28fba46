"""`python -m tests.simulation`: many schedules with progress, or one with its story.

python -m tests.simulation --seed 4711                 replay one, and tell what happened
python -m tests.simulation --schedules 20000           run many, on two processes
"""

import argparse
import sys
import time

from tests.simulation.campaign import Report, run_many
from tests.simulation.schedule import run

PROGRESS_SECONDS = 10
VIOLATIONS_MAX = 20  # enough to look at


def replay(seed: int) -> int:
    """Run one schedule and print its story."""
    outcome = run(seed, is_traced=True)
    print("\n".join(outcome.story))
    print(f"\nseed {seed}: {outcome.steps} steps, {outcome.seconds:.1f} virtual seconds")
    print("\n".join(f"VIOLATION {fault}" for fault in outcome.faults) or "no violation")
    return 1 if outcome.faults else 0


def main() -> int:
    """Do what the command line says; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="replay this schedule")
    parser.add_argument("--schedules", type=int, default=2_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    if options.seed is not None:
        return replay(options.seed)
    told, shown = 0.0, 0
    report = Report()
    for report in run_many(options.first, options.schedules, options.processes):
        if time.monotonic() - told > PROGRESS_SECONDS:
            told = time.monotonic()
            print(report.line(), flush=True)
        for seed, faults in report.violations[shown:]:
            print(f"VIOLATION --seed {seed}: {faults[0][:300]}", flush=True)
        shown = len(report.violations)
        if len(report.violations) > VIOLATIONS_MAX:
            break
    print(report.line())
    for mark in report.missed:
        print(f"never reached: {mark}")
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
