"""A small run of `make chaos`: every failpoint kills, servers die, and all ledgers are equal.

It takes minutes, so it runs only where CHAOS_PAYMENTS says how much (60 is enough for every
failpoint); see `tests/chaos/__main__.py` for the other settings.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SIZE = {"CHAOS_KILLS_PER_POINT": "1", "CHAOS_MYSQL_KILLS": "2"}
SECONDS_MAX = 1500
ROOT = Path(__file__).parents[2]


@pytest.mark.skipif("CHAOS_PAYMENTS" not in os.environ, reason="CHAOS_PAYMENTS is not set")
@pytest.mark.stack
@pytest.mark.slow
@pytest.mark.xdist_group("stack")
@pytest.mark.timeout(SECONDS_MAX + 60)
def test_nothing_is_lost_or_doubled_when_everything_dies(mysql_server, kafka_server) -> None:
    """The servers of the fixtures are not used: they tell whether servers can be had."""
    # A process of its own, because one with threads, as this, cannot be forked safely.
    run = subprocess.run(
        [sys.executable, "-m", "tests.chaos"],
        cwd=ROOT,
        env={**SIZE, **os.environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS_MAX,
    )

    print(run.stdout)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "chaos: exact on all ledgers" in run.stdout
