"""One run: real MySQL and Kafka behind proxies, the service's processes, a provider, and trouble.

Then everything is healed, time passes until nothing is left to do, and the ledgers are compared.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select, update

from deploy.stack.kafka import KafkaServer
from deploy.stack.mysql import MySQLServer
from payment_service import cli
from payment_service.domain.errors import StorageUnavailable
from payment_service.storage.database import Database, Session
from payment_service.storage.models import Lease, MoneyException, WebhookEvent
from tests.chaos import ledgers
from tests.chaos.client import Client
from tests.chaos.comparison import compare, count_repeats
from tests.chaos.faults import Faults, Targets
from tests.chaos.fleet import Fleet
from tests.chaos.ledgers import Books
from tests.chaos.merchants import Merchants
from tests.chaos.plan import Size
from tests.chaos.proxy import Link
from tests.chaos.roles import Roles, settings
from tests.chaos.shared import SharedClock, Tally
from tests.chaos.zygote import Zygote
from tests.support.service import KEYRING

PROGRESS_SECONDS = 5.0
POLL_SECONDS = 0.5
WANTING_SHOWN_MAX = 4
IDS_MAX = 100
WATCHED = timedelta(days=1)  # after which every closed link was looked at again, once at least
IDLE = timedelta(minutes=5)  # skipped while nothing is due: who waits longest does so for an hour
LEASES_CUT_SHORT = 0.8  # of the dead: the rest is waited for as in life
REPEATS_MAX = 20  # messages that come again for each interruption of a relay, on average
SESSION_TIMEOUT_MS = 1_500


@dataclass(slots=True)
class Outcome:
    """What a run came to."""

    problems: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    books: Books | None = None
    repeats: int = 0
    repeats_budget: int = 0


class World:
    """Everything of a run; `open_world` makes it."""

    def __init__(self, size: Size, roles: Roles, zygote: Zygote, folder: Path) -> None:
        self.outcome = Outcome()
        self.links = {name: Link(name) for name in ("mysql", "kafka", "payos")}
        self._size = size
        self._roles = roles
        self._chance = size.random("world")
        self._began = 0.0
        self._left: dict[str, int] = {}  # to be done, while we wait for it
        self._tasks: set[asyncio.Task[None]] = set()
        self._database: Database | None = None
        self.fleet = Fleet(zygote, roles.tally, folder, kills_per_point=size.kills_per_point,
                           on_death=self._on_death)  # fmt: skip
        self.client = Client(
            _url(roles.api_socket),
            _url(roles.provider_socket),
            size.random("client"),
            seconds_max=size.seconds_max,
        )
        self.merchants = Merchants(size, roles.clock, self.client)
        self.webhook_url = f"{_url(roles.api_socket)}/v1/webhooks/payos"
        self.webhook_ids: list[str] = []
        self.exception_ids: list[str] = []
        self.faults: Faults | None = None

    @property
    def database(self) -> Database:
        """The database, past the proxy."""
        assert self._database is not None
        return self._database

    async def run(self, mysql: MySQLServer, kafka: KafkaServer) -> None:
        """Live through it all; `outcome` tells what was found."""
        began = self._began = time.monotonic()
        async with Database.open(mysql.url(), keyring=KEYRING, pool_size=2) as database:
            self._database = database
            await self._start()
            self.faults = Faults(self._size, self._targets(mysql, kafka))
            watching = asyncio.create_task(self._watch(began))
            try:
                await self._trouble()
                self.outcome.seconds["trouble"] = time.monotonic() - began
                await self._calm()
                self.outcome.seconds["calm"] = time.monotonic() - began
                await self._compare(kafka)
            finally:
                watching.cancel()
                await self.client.close()
        self.outcome.seconds["all"] = time.monotonic() - began

    def _targets(self, mysql: MySQLServer, kafka: KafkaServer) -> Targets:
        return Targets(
            fleet=self.fleet,
            client=self.client,
            merchants=self.merchants,
            links=tuple(self.links.values()),
            mysql=mysql,
            kafka=kafka,
            webhook_url=self.webhook_url,
            webhook_ids=self.webhook_ids,
            exception_ids=self.exception_ids,
        )

    async def _start(self) -> None:
        port = self.links["mysql"].port
        environ = settings(
            f"payments:payments@127.0.0.1:{port}/payments",
            f"127.0.0.1:{self.links['kafka'].port}?session_timeout_ms={SESSION_TIMEOUT_MS}",
            f"http://127.0.0.1:{self.links['payos'].port}",
        )
        self.fleet.start_provider(environ)
        await self.client.bank("POST", "/webhook-url", {"url": self.webhook_url})
        await self.client.bank("POST", "/modes", {"payout_seconds": 5})
        code = await self.fleet.command("migrate")
        assert code == cli.FINE, "the migration failed"
        self.fleet.start(environ)

    async def _trouble(self) -> None:
        assert self.faults is not None
        breaking = asyncio.create_task(self.faults.run())
        living = asyncio.create_task(self.merchants.run(self._wants_more))
        await asyncio.wait({breaking, living}, return_when=asyncio.FIRST_COMPLETED)
        breaking.cancel()
        await asyncio.wait({breaking})
        if not breaking.cancelled() and breaking.exception() is not None:
            living.cancel()
            await breaking
        await living

    def _wants_more(self) -> bool:
        is_time_up = time.monotonic() - self._began > self._size.seconds_max
        return bool(self.fleet.wanting()) and not is_time_up

    async def _calm(self) -> None:
        """Heal everything, wait until nothing is left; then let a day pass, and wait again."""
        wanting = self.fleet.wanting()
        for point in wanting:
            kills = self.fleet.deaths.at_points[point]
            self.outcome.problems.append(f"{point} killed {kills} times only")
        await self.client.bank("DELETE", "/faults")
        for link in self.links.values():
            link.heal()
        await self.fleet.calm_down()
        await self._settle("after the trouble")
        self._roles.clock.advance(WATCHED)
        await self._settle("a day later")
        await self.merchants.ask_again()
        await self.client.bank("POST", "/webhook-url", {"url": None})
        await self._settle("at the end")
        codes = await self.fleet.close()
        self.outcome.problems += [
            f"{name} ended with {code}" for name, code in codes.items() if code != 0
        ]

    async def _settle(self, when: str) -> None:
        deadline = time.monotonic() + self._size.seconds_max
        left: dict[str, int] = {"unknown": 1}
        while left and time.monotonic() < deadline:
            await asyncio.sleep(POLL_SECONDS)
            due = await ledgers.due(self.database, self._roles.clock())
            unfinished = await ledgers.unfinished(self.database)
            if unfinished and not due:
                self._roles.clock.advance(IDLE)
            left = self._left = due | unfinished
        if left:
            self.outcome.problems.append(f"{when} there was left: {left}")

    async def _compare(self, kafka: KafkaServer) -> None:
        outcome, answers = self.outcome, self.client.answers
        outcome.books = Books(
            provider=await self.client.bank("GET", "/ledger"),
            stored=await ledgers.read_stored(self.database, self._roles.clock()),
            log=await asyncio.to_thread(ledgers.read_log, kafka.bootstrap),
            answers=answers.by_key,
            payments_by_key=answers.payments,
        )
        outcome.problems += compare(outcome.books)
        outcome.problems += answers.problems
        outcome.problems += [f"no final answer: {what}" for what in answers.unfinished]
        outcome.problems += self.fleet.deaths.unexpected
        if self._roles.tally.strangers():
            outcome.problems.append("failpoints were passed that the scan has not found")
        outcome.repeats = count_repeats(outcome.books)
        outcome.repeats_budget = REPEATS_MAX * self._interruptions()
        if outcome.repeats > outcome.repeats_budget:
            outcome.problems.append(f"{outcome.repeats} messages came again, more than the budget")

    def _interruptions(self) -> int:
        """Count what may make a relay send again what it had under way."""
        assert self.faults is not None
        deaths = self.fleet.deaths
        outages = sum(count for name, count in self.faults.counts.items()
                      if name.startswith(("mysql", "kafka", "process")))  # fmt: skip
        return deaths.by_role["relay"] + deaths.stopped["relay"] + outages

    def _on_death(self, pid: int) -> None:
        """Let the leases of most of the dead run out at once: they would, some seconds later."""
        if self._chance.random() < LEASES_CUT_SHORT:
            task = asyncio.create_task(self._cut_leases_short(pid))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _cut_leases_short(self, pid: int) -> None:
        async def cut(session: Session) -> None:
            await session.execute(
                update(Lease)
                .where(Lease.owner.contains(f"-{pid}-"))
                .values(expires_at=self._roles.clock())
            )

        try:
            await self.database.transact("chaos.cut_leases_short", cut)
        except StorageUnavailable:
            return  # they run out by themselves

    async def _watch(self, began: float) -> None:
        """Tell how it goes, and keep some ids at hand."""
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            self._tell(time.monotonic() - began)
            try:
                self.webhook_ids[:] = await self.database.read(_some_webhooks)
                self.exception_ids[:] = await self.database.read(_some_exceptions)
            except StorageUnavailable:
                continue

    def _tell(self, seconds: float) -> None:
        assert self.faults is not None
        merchants, fleet = self.merchants, self.fleet
        wanting = fleet.wanting()
        points = len(self._roles.tally.points)
        print(
            f"chaos {seconds:5.0f} s  stories {merchants.finished.reached}/{merchants.started}"
            f"  kills {fleet.deaths.total()}  failpoints done {points - len(wanting)}/{points}"
            f"{_few(wanting)}  faults {self.faults.counts.total()}{_told(self._left)}",
            flush=True,
        )


async def _some_webhooks(session: Session) -> list[str]:
    query = (
        select(WebhookEvent.id)
        .where(WebhookEvent.status != "rejected")
        .order_by(WebhookEvent.received_at.desc())
        .limit(IDS_MAX)
    )
    return list((await session.scalars(query)).all())


async def _some_exceptions(session: Session) -> list[str]:
    query = (
        select(MoneyException.id)
        .where(MoneyException.resolved_at.is_(None))
        .order_by(MoneyException.raised_at.desc())
        .limit(IDS_MAX)
    )
    return list((await session.scalars(query)).all())


def _told(left: dict[str, int]) -> str:
    return "  left " + ", ".join(f"{name} {count}" for name, count in left.items()) if left else ""


def _few(wanting: list[str]) -> str:
    return f" (not {', '.join(wanting)})" if 0 < len(wanting) <= WANTING_SHOWN_MAX else ""


def _url(place: socket.socket) -> str:
    return f"http://127.0.0.1:{place.getsockname()[1]}"


@asynccontextmanager
async def open_links(links: dict[str, Link]) -> AsyncIterator[None]:
    """Open the proxies."""
    for link in links.values():
        await link.open()
    try:
        yield
    finally:
        for link in links.values():
            await link.close()


def listen() -> socket.socket:
    """Make a socket that listens on a free port of this machine."""
    place = socket.create_server(("127.0.0.1", 0), backlog=1024)
    place.set_inheritable(True)
    return place


async def live(size: Size, roles: Roles, zygote: Zygote, folder: Path) -> World:
    """Run it all; the servers are private and thrown away."""
    world = World(size, roles, zygote, folder)
    links: dict[str, Any] = world.links
    async with open_links(links):
        kafka = KafkaServer(advertised_port=links["kafka"].port)
        with MySQLServer() as mysql, kafka:
            links["mysql"].lead_to(mysql.port)
            links["kafka"].lead_to(kafka.port)
            links["payos"].lead_to(roles.provider_socket.getsockname()[1])
            await world.run(mysql, kafka)
    return world


def make_roles(size: Size, points: tuple[str, ...]) -> Roles:
    """Make what all processes share; before anything is forked."""
    return Roles(SharedClock(size.clock_speed), Tally(points), listen(), listen())
