"""What goes wrong during a run, each kind in a loop of its own with a seed of its own.

Whoever breaks something repairs it in `finally`: a fault that outlives its loop proves nothing.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from deploy.stack.server import Server
from payos_simulator import signatures
from tests.chaos.client import Client
from tests.chaos.fleet import Fleet
from tests.chaos.merchants import Merchants
from tests.chaos.plan import Size
from tests.chaos.proxy import Link
from tests.support.simulator import PAYMENT

LINK_GAP = 12  # answers to clients between two faults, on average; so for each link
COMMAND_GAP = 2
POISON_GAP = 20
STOP_GAP = 5
FREEZE_GAP = 25
ANSWERS_PER_STORY = 2  # roughly
OUTAGE_SECONDS = (0.2, 2.0)
DELAY_SECONDS = (0.005, 0.1)
FREEZE_SECONDS = (0.5, 5.0)
REPLIES_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What can be hurt."""

    fleet: Fleet
    client: Client
    merchants: Merchants
    links: tuple[Link, ...]
    mysql: Server
    kafka: Server
    webhook_url: str
    webhook_ids: list[str]  # some that are on record, for operators to pick from
    exception_ids: list[str]  # some that are open


class Faults:
    """All loops of a run."""

    def __init__(self, size: Size, targets: Targets) -> None:
        self.counts: Counter[str] = Counter()
        self.poisoned = 0
        self._size = size
        self._targets = targets
        self._servers = asyncio.Lock()  # one server is away at a time
        self._restarts: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Break things until cancelled."""
        targets = self._targets
        loops = [
            self._loop("kill", self._kill_gap(), self._kill),
            self._loop("stop", STOP_GAP, self._stop),
            self._loop("freeze", FREEZE_GAP, self._freeze),
            self._loop("command", COMMAND_GAP, self._give_command),
            self._loop("poison", POISON_GAP, self._poison),
            self._kill_server(targets.mysql, self._size.mysql_kills),
            self._kill_server(targets.kafka, self._size.kafka_kills),
        ]
        loops += [self._loop(link.name, LINK_GAP, self._hurt_link(link))
                  for link in targets.links]  # fmt: skip
        try:
            async with asyncio.TaskGroup() as group:
                for loop in loops:
                    group.create_task(loop)
        finally:
            await asyncio.gather(*self._restarts)  # a thread cannot be cancelled

    def _kill_gap(self) -> float:
        return ANSWERS_PER_STORY / max(0.001, self._size.kills_per_payment)

    async def _loop(
        self, name: str, gap: float, act: Callable[[random.Random], Awaitable[None]]
    ) -> None:
        """Act each time that some more work was done: on a slow machine as often as on a fast one.

        By the clock a slow machine would be killed faster than it works.
        """
        chance = self._size.random(f"faults/{name}")
        due = 0.0
        while True:
            due += chance.expovariate(1 / gap)
            await self._targets.client.answers.kept.reach(due)
            await act(chance)

    async def _kill(self, chance: random.Random) -> None:
        self._targets.fleet.kill(chance.choice(self._targets.fleet.names))

    async def _stop(self, chance: random.Random) -> None:
        self.counts["process stopped"] += 1
        self._targets.fleet.stop(chance.choice(self._targets.fleet.names))

    async def _freeze(self, chance: random.Random) -> None:
        self.counts["process frozen"] += 1
        with self._targets.fleet.frozen(chance.choice(self._targets.fleet.names)):
            await asyncio.sleep(chance.uniform(*FREEZE_SECONDS))

    def _hurt_link(self, link: Link) -> Callable[[random.Random], Awaitable[None]]:
        async def hurt(chance: random.Random) -> None:
            kind = chance.choice(("cut", "lose_reply", "lose_reply", "refuse", "swallow", "delay"))
            self.counts[f"{link.name} {kind}"] += 1
            if kind == "cut":
                link.cut()
            elif kind == "lose_reply":
                link.lose_reply(chance.randint(1, REPLIES_MAX))
            else:
                with _broken(link, kind, chance):
                    await asyncio.sleep(chance.uniform(*OUTAGE_SECONDS))

        return hurt

    async def _give_command(self, chance: random.Random) -> None:
        merchants, fleet = self._targets.merchants, self._targets.fleet
        if not merchants.created:
            return
        payment = chance.choice(merchants.created)
        commands: list[tuple[str, ...]] = [
            ("reconcile", payment),
            ("timeline", payment),
            ("doctor",),
            ("confirm-webhook", self._targets.webhook_url),
        ]
        if self._targets.webhook_ids:
            commands.append(("webhooks", "replay", chance.choice(self._targets.webhook_ids)))
        if self._targets.exception_ids:
            exception = chance.choice(self._targets.exception_ids)
            commands.append(("exceptions", "resolve", exception, "--keep", "--reason", "chaos"))
        command = chance.choice(commands)
        self.counts[f"command {command[0]}"] += 1
        await fleet.command(*command)

    async def _poison(self, chance: random.Random) -> None:
        """Send a webhook that is signed and can never be applied: its time is before all time."""
        data = {
            "orderCode": chance.randrange(10**6, 10**9),
            "amount": 10_000,
            "description": "poison",
            "accountNumber": "1",
            "reference": f"POISON{chance.randrange(10**12)}",
            "transactionDateTime": "0001-01-01 00:00:00",
            "currency": "VND",
            "paymentLinkId": f"{chance.randrange(16**32):032x}",
            "code": "00",
            "desc": "success",
        }
        signature = signatures.of_data(data, PAYMENT.checksum_key)
        self.counts["webhook poisoned"] += 1
        await self._targets.client.deliver({"data": data, "signature": signature}, 0)

    async def _kill_server(self, server: Server, times: int) -> None:
        """Kill a server now and then, evenly over the planned payments."""
        for number in range(1, times + 1):
            due = number * self._size.payments // (times + 1)
            await self._targets.merchants.finished.reach(due)
            async with self._servers:
                self.counts[f"{server.kind} killed"] += 1
                restart = asyncio.create_task(asyncio.to_thread(_kill_and_start, server))
                self._restarts.append(restart)
                await asyncio.shield(restart)


@contextmanager
def _broken(link: Link, kind: str, chance: random.Random) -> Iterator[None]:
    if kind == "refuse":
        with link.refusing():
            yield
    elif kind == "swallow":
        with link.swallowing():
            yield
            if chance.random() < 0.5:
                link.cut()
    else:
        with link.delaying(chance.uniform(*DELAY_SECONDS)):
            yield


def _kill_and_start(server: Server) -> None:
    server.kill()
    server.start()
