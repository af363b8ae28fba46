"""The official Node SDK passes every call against the simulator."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.simulator import PAYMENT, PAYOUT, Simulator

FOLDER = Path(__file__).parent / "sdk_node"
INSTALL_SECONDS = 120
CALLS = 14


def missing(reason: str) -> None:
    """Skip where the tools cannot be had; fail where they must be there."""
    if os.environ.get("REQUIRE_STACK"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def installed() -> None:
    if shutil.which("npm") is None or shutil.which("node") is None:
        missing("node and npm are not installed")
    if (FOLDER / "node_modules" / "@payos" / "node").is_dir():
        return
    done = subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-timeout=20000"],
        cwd=FOLDER, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS,
    )  # fmt: skip
    if done.returncode != 0:
        missing(f"npm could not install the SDK: {done.stderr[-200:]}")


@pytest.mark.usefixtures("installed")
def test_every_call_of_the_node_sdk_passes(simulator: Simulator) -> None:
    keys = [f"{c.client_id},{c.api_key},{c.checksum_key}" for c in (PAYMENT, PAYOUT)]

    done = subprocess.run(
        ["node", "check.mjs", simulator.base_url, f"{simulator.base_url}/_admin", *keys],
        cwd=FOLDER, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    calls = json.loads(done.stdout)
    assert {name: outcome for name, outcome in calls.items() if outcome != "passed"} == {}
    assert len(calls) == CALLS
