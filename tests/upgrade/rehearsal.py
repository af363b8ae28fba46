"""An upgrade under load, forth, back and forth again, on one MySQL and one Kafka.

The order is that of docs/how-to/upgrade.md: expand, roll, roll back, roll again, contract.
"""

import asyncio
import subprocess
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.deployment import START_SECONDS, Role, read_topic
from tests.support.process import free_port, wait_until
from tests.upgrade.balancer import Balancer
from tests.upgrade.load import Load
from tests.upgrade.versions import Version

COMMAND_SECONDS = 120
STEP_SECONDS_MAX = 180.0
ROLES = ("scheduler", "consumer", "relay", "api")


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a rehearsal is."""

    processes: Mapping[str, int]
    merchants: int
    payments_per_step: int  # that are paid before the next step
    rolled_back: tuple[str, ...]  # the roles that go back; the others stay new beside them
    is_whole: bool  # one process after the other, and to the end; else together, forth and back


BRIEF = Size(
    processes=dict.fromkeys(ROLES, 1),
    merchants=2,
    payments_per_step=2,
    rolled_back=("api",),
    is_whole=False,
)
FULL = Size(
    processes={"scheduler": 2, "consumer": 2, "relay": 2, "api": 3},
    merchants=6,
    payments_per_step=30,
    rolled_back=ROLES,
    is_whole=True,
)


@dataclass(slots=True)
class Outcome:
    """What was found at the end."""

    events: int = 0
    repeated: int = 0  # told twice; consumers recognise them by their id
    lost: list[str] = field(default_factory=list)
    unready: list[str] = field(default_factory=list)
    exits: Counter[int] = field(default_factory=Counter)
    audit: str = "not asked"


class Rehearsal:
    """One rehearsal.

    Args:
        folder: For the logs.
        environ: Settings that all processes share.
        load: What goes on meanwhile.
        balancer: Stands before the API.
        size: How large it is.
    """

    def __init__(
        self,
        folder: Path,
        environ: Mapping[str, str],
        load: Load,
        balancer: Balancer,
        size: Size,
    ) -> None:
        self.outcome = Outcome()
        self._folder = folder
        self._environ = dict(environ)
        self._load = load
        self._balancer = balancer
        self._size = size
        self._running: dict[str, list[tuple[Role, int]]] = defaultdict(list)
        self._launched: list[Role] = []

    async def command(self, version: Version, *arguments: str) -> str:
        """Run a command of a version, which must find nothing wrong."""
        environ = self._environ | version.environ
        done = await asyncio.to_thread(
            subprocess.run,
            version.launch(arguments, environ),
            env=environ, capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, f"{version.name} {arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    @asynccontextmanager
    async def step(self, name: str) -> AsyncIterator[None]:
        """Do something while payments go on; some are paid afterwards, before the next step."""
        self._load.tally.step = name
        print(f"  {name} ...", flush=True)
        yield
        await asyncio.to_thread(self._look_at_readiness, name)
        goal = self._load.tally.paid[name] + self._size.payments_per_step
        async with asyncio.timeout(STEP_SECONDS_MAX):
            while self._load.tally.paid[name] < goal:
                assert not self._load.tally.errors, self._load.tally.errors[:3]
                await asyncio.sleep(0.05)
        await asyncio.to_thread(self._look_at_readiness, name)

    async def start(self, version: Version) -> None:
        """Start everything in a version."""
        successors = [self._launch(version, role) for role in self._places()]
        await self._wait_until_ready(successors)
        for role, port in successors:
            self._take_in(role, port)

    async def roll(self, version: Version, roles: Sequence[str] = ROLES) -> None:
        """Put a process of `version` in the place of each of some roles, one by one."""
        places = [role for role in self._places() if role in roles]
        ready = [self._launch(version, role) for role in places if not self._size.is_whole]
        for role in places:
            successor = ready.pop(0) if ready else self._launch(version, role)
            await self._wait_until_ready([successor])
            predecessor, port = self._running[role].pop(0)
            self._take_in(*successor)
            await self._stop(predecessor, port)

    async def finish(self) -> None:
        """End every process."""
        for role, port in [each for places in self._running.values() for each in places]:
            await self._stop(role, port)
        self._running.clear()

    def kill(self) -> None:
        """End what still runs, after a failure."""
        for role in self._launched:
            if role.process.poll() is None:
                role.kill()

    async def compare(self, bootstrap: str, versions: Mapping[str, int]) -> None:
        """Hold what was told against what is stored: `versions` has the changes by payment."""
        told: dict[str, list[int]] = defaultdict(list)
        for key, event in await asyncio.to_thread(read_topic, bootstrap, "payments.events.v1"):
            if key in versions:
                told[key].append(event["data"]["sequence"])
        self.outcome.events = sum(versions.values())
        self.outcome.repeated = sum(len(each) - len(set(each)) for each in told.values())
        self.outcome.lost = [
            f"{payment_id}: {number}"
            for payment_id, changes in versions.items()
            for number in range(1, changes + 1)
            if number not in told[payment_id]
        ]

    def _places(self) -> list[str]:
        return [role for role in ROLES for _ in range(self._size.processes[role])]

    def _launch(self, version: Version, role: str) -> tuple[Role, int]:
        port = free_port()
        log = self._folder / f"{len(self._launched):02}-{role}-{version.folder.name}.log"
        environ = {**self._environ, **version.environ, "PAYMENTS_PORT": str(port)}
        self._launched.append(Role(role, environ, log, version.launch))
        return self._launched[-1], port

    async def _wait_until_ready(self, started: list[tuple[Role, int]]) -> None:
        for role, _ in started:
            await asyncio.to_thread(
                wait_until, role.is_ready, seconds=START_SECONDS, what=f"{role.name} is ready"
            )

    def _take_in(self, role: Role, port: int) -> None:
        self._running[role.name].append((role, port))
        if role.name == "api":
            self._balancer.add(port)

    async def _stop(self, role: Role, port: int) -> None:
        if role.name == "api":
            self._balancer.remove(port)  # as an endpoint is removed before the pod is told
        self.outcome.exits[await asyncio.to_thread(role.stop)] += 1

    def _look_at_readiness(self, step: str) -> None:
        self.outcome.unready += [
            f"{step}: {role.name}"
            for places in self._running.values()
            for role, _ in places
            if not role.is_ready()
        ]
