"""The simulation as a test: many schedules without a violation, and a simulation that can fail."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.simulation.breakages import BREAKAGES
from tests.simulation.campaign import run_many
from tests.simulation.schedule import run

SCHEDULES = int(os.environ.get("SIMULATION_SCHEDULES", "3000"))
PROCESSES = 2
MARKS_FROM = 3_000  # schedules after which every rare state must have been reached


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.xdist_group("simulation")
def test_no_schedule_breaks_a_promise_and_every_rare_state_is_reached() -> None:
    report = None
    for report in run_many(0, SCHEDULES, PROCESSES):
        assert report.violations == [], "python -m tests.simulation --seed N tells the story"

    assert report is not None
    assert report.schedules == SCHEDULES
    assert SCHEDULES < MARKS_FROM or report.missed == []


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.xdist_group("simulation")
@pytest.mark.parametrize("name", BREAKAGES)
def test_simulation_finds_a_service_that_is_broken(name: str) -> None:
    broken, schedules = BREAKAGES[name]

    with broken():
        found = next(_violations(schedules), None)

    assert found is not None, f"{schedules} schedules found nothing"


def _violations(schedules: int) -> Iterator[list[str]]:
    for seed in range(schedules):
        faults = run(seed).faults
        if faults:
            yield faults


def test_seed_repeats_its_schedule_in_another_process() -> None:
    tell = (
        "from tests.simulation.schedule import run\n"
        "for seed in range(5): print(*run(seed, is_traced=True).story, sep='\\n')"
    )
    stories = [
        subprocess.run(
            [sys.executable, "-c", tell],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]

    assert "is killed" in stories[0]
    assert stories[0] == stories[1]
