"""The machine that is measured on: who runs on which processor, and what a process has used.

The measured process has a processor to itself; load, database and broker share the others, whoever
is measured. So what the neighbours cost is the same for both sides.
"""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

ALL = frozenset(os.sched_getaffinity(0))
SERVER = frozenset(sorted(ALL)[:1])
NEIGHBOURS = (ALL - SERVER) or ALL
PACKAGES = (
    "aiohttp", "aiokafka", "asyncmy", "fastapi", "httptools", "httpx", "jsonschema-rs", "msgspec",
    "openapi-core", "pydantic", "sqlalchemy", "starlette", "uvicorn", "uvloop",
)  # fmt: skip


@contextmanager
def born_on(cpus: frozenset[int]) -> Iterator[None]:
    """Have processes that are started meanwhile run on some processors."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def move(pid: int, cpus: frozenset[int]) -> None:
    """Have a running process, with all of its threads, run on some processors."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(ProcessLookupError):  # a thread that has just ended
            os.sched_setaffinity(int(task.name), cpus)


def cpu_seconds(pid: int) -> float:
    """Tell how much processor time a process has used, for itself and in the kernel.

    By the scheduler's account in nanoseconds: that in ticks is 5 % off in a round of half a second.
    """
    used = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            used += int((task / "schedstat").read_text().split()[0])
    return used / 1e9


def busy_seconds(cpus: frozenset[int]) -> float:
    """Tell for how long some processors have worked, added up; in steps of 10 ms, by proc(5)."""
    ticks = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *spent = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in cpus:
            user, nice, system, _idle, _waiting, interrupts, more, *_ = map(int, spent)
            ticks += user + nice + system + interrupts + more
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """Tell how much memory of a process is in use."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def description() -> dict[str, str]:
    """Name the machine and the versions of what runs on it."""
    models = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo", "model name")]
    return {
        "cpu": f"{len(ALL)} x {models[0] if models else platform.machine()}",
        "load": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def _lines(path: str, start: str) -> list[str]:
    return [line for line in Path(path).read_text().splitlines() if line.startswith(start)]
