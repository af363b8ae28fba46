"""The tools of Prometheus, from Debian's packages; skipped or failed where they cannot be had."""

import os
import subprocess
from functools import lru_cache
from pathlib import Path

import pytest

from deploy.stack.errors import Unavailable
from deploy.stack.packages import ensure_program

PACKAGES = {
    "promtool": "prometheus",
    "prometheus": "prometheus",
    "amtool": "prometheus-alertmanager",
    "prometheus-alertmanager": "prometheus-alertmanager",
}
RUN_SECONDS = 150


def tool(name: str) -> str:
    """Find a program; skip the test where there is none, fail where there must be one."""
    found = _find(name)
    if isinstance(found, Unavailable):
        required = os.environ.get("REQUIRE_STACK") == "1"
        (pytest.fail if required else pytest.skip)(f"{name}: {found}")
    return found


@lru_cache
def _find(name: str) -> str | Unavailable:
    try:
        return ensure_program(name, PACKAGES[name], progress=print)
    except Unavailable as reason:
        return reason


def run(name: str, *arguments: str | Path, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run(
        [tool(name), *map(str, arguments)],
        input=text, capture_output=True, text=True, check=False, timeout=RUN_SECONDS,
    )  # fmt: skip
