"""One schedule: a service in many processes, its merchants, a bank, and all that goes wrong.

First the active part, in which merchants and payers act and misfortunes strike; then the quiet
part, in which one calm process of each kind works until nothing is left to do. Then the oracle
judges.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

from payment_service.domain.errors import ConcurrentUpdate, StorageUnavailable
from payment_service.domain.quota import Quota
from payment_service.messaging import topics
from payment_service.providers import deadline
from payment_service.storage.models import Base
from payment_service.telemetry.metrics import Metrics
from payment_service.use_cases.receive_webhook import receive_webhook
from payment_service.workers.consumer import Consumer
from payment_service.workers.relay import Relay
from payment_service.workers.scheduler import Scheduler
from tests.simulation import marks
from tests.simulation.answers import payment_answer, refusal
from tests.simulation.bank import Bank
from tests.simulation.broker import SimulatedBroker, SimulatedPublisher, consume
from tests.simulation.chance import Swarm
from tests.simulation.loop import VirtualLoop
from tests.simulation.process import EPOCH, Killed, Process
from tests.simulation.provider import SimulatedProvider
from tests.simulation.store.transactions import Store

METRICS = Metrics(version="simulation", provider="simulated")
ROLES = ("api", "relay", "consumer", "scheduler")
EACH = 2  # processes of each role
RESTART_SECONDS = 2.0
REQUEST_SECONDS = 15.0  # that an API process works for an answer
IDLE_ROUNDS = 0.1  # the share of rounds without work that are not skipped
NOT_SOON = EPOCH + timedelta(days=365)
WATCHED = ("idempotency_keys", "payments", "refunds", "webhook_events")


class NoAuditor:
    """Audits nothing: SQL as text is nothing that the store can read."""

    async def run_once(self) -> int:
        """Look at nothing."""
        return 0

    def forget(self) -> None:
        """Know nothing."""


@dataclass(slots=True)
class Worker:
    """A process with what it runs, and how long it rests between two rounds."""

    process: Process
    run_once: Callable[[], Awaitable[int]]
    has_work: Callable[[], bool] = lambda: True
    rests: tuple[float, ...] = (0.1, 1.0, 4.0)


@dataclass(slots=True)
class World:
    """Everything that one schedule is made of."""

    loop: VirtualLoop
    chance: Random
    swarm: Swarm
    is_traced: bool = False
    marks: Counter[str] = field(default_factory=Counter)
    story: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    apis: list[Process] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    store: Store = field(init=False)
    broker: SimulatedBroker = field(init=False)
    bank: Bank = field(init=False)
    is_quiet: bool = False
    _born: int = 0

    def __post_init__(self) -> None:
        self.store = Store(Base.metadata, self.note)
        self.store.alarm = self.fault
        self.store.shuffle = self.chance.shuffle
        self.broker = SimulatedBroker(self)
        self.bank = Bank(self, self.deliver)
        self.store.on_commit.append(marks.Watch(self).committed)

    def note(self, mark: str) -> None:
        """Remember that a rare state was reached."""
        self.marks[mark] += 1

    def trace(self, who: str, what: str) -> None:
        """Tell the reader of a replay."""
        if self.is_traced:
            self.story.append(f"{self.loop.time():12.3f}  {who:14}  {what}")

    def fault(self, what: str) -> None:
        """Remember a broken promise; the schedule goes on, its end tells."""
        self.trace("VIOLATION", what)
        self.faults.append(what)

    # --- processes -------------------------------------------------------------------------------

    def born(self, role: str, *, is_calm: bool = False) -> Process:
        """Start a process."""
        self._born += 1
        process = Process(self, f"{role}-{self._born}", is_calm=is_calm or self.is_quiet)
        self.processes.append(process)
        return process

    def worker(self, role: str, *, is_calm: bool = False) -> Worker:
        """Start a process that works by itself."""
        process = self.born(role, is_calm=is_calm)
        match role:
            case "relay":
                return Worker(process, self._relay(process).run_once, self._is_outbox_full)
            case "consumer":
                consumer = self._consumer(process)
                return Worker(
                    process,
                    lambda: consume(self.broker, process, consumer, topics.WEBHOOKS),
                    lambda: self.broker.waiting(topics.WEBHOOKS) > 0,
                )
            case "scheduler":
                return Worker(
                    process,
                    self._scheduler(process).run_once,
                    lambda: self._is_something_due(process),
                    rests=(2.0, 8.0),
                )
        raise ValueError(role)

    def _is_outbox_full(self) -> bool:
        return any(
            row["status"] == "pending" for _, row in self.store.tables["outbox_events"].rows(None)
        )

    def _is_something_due(self, process: Process) -> bool:
        now = process.clock()
        return any(
            row["next_check_at"] is not None and row["next_check_at"] <= now
            for name in WATCHED
            for _, row in self.store.tables[name].rows(None)
        )

    def _relay(self, process: Process) -> Relay:
        return Relay(
            process.database,
            SimulatedPublisher(self.broker, process),
            process.clock,
            METRICS,
            owner=process.name,
            wake=asyncio.Event(),
        )

    def _consumer(self, process: Process) -> Consumer:
        provider = SimulatedProvider(self.bank, process)
        return Consumer(process.database, provider, process.clock, METRICS)

    def _scheduler(self, process: Process) -> Scheduler:
        scheduler = Scheduler(
            process.database,
            SimulatedProvider(self.bank, process),
            process.clock,
            METRICS,
            self._consumer(process),
            render=payment_answer,
            render_canceled=payment_answer,
            render_error=refusal,
            owner=process.name,
        )
        scheduler._auditor = NoAuditor()  # the oracle asks the same questions at the end
        if self.chance.random() > IDLE_ROUNDS:
            scheduler._housekeeping_at = NOT_SOON  # it forgets nothing that matters here
        return scheduler

    async def keep_working(self, role: str) -> None:
        """Be the supervisor of one process: it works, dies, and is started again."""
        while not self.is_quiet:
            worker = self.worker(role)
            task = worker.process.spawn(self._rounds(worker))
            await asyncio.wait({task})
            self._judge_end(worker.process, task)
            if worker.process.is_alive:
                return
            await asyncio.sleep(self.chance.random() * RESTART_SECONDS)

    async def keep_serving(self, place: int) -> None:
        """Be the supervisor of an API process."""
        while not self.is_quiet:
            process = self.apis[place] = self.born("api")
            while process.is_alive and not self.is_quiet:  # noqa: ASYNC110  # time costs nothing
                await asyncio.sleep(0.5)
            await asyncio.sleep(self.chance.random() * RESTART_SECONDS)

    async def _rounds(self, worker: Worker) -> None:
        while not self.is_quiet:
            await asyncio.sleep(self.chance.choice(worker.rests) * self.chance.random())
            # Nothing but speed: a round without work changes nothing but leases.
            if not worker.has_work() and self.chance.random() > IDLE_ROUNDS:
                continue
            try:
                await worker.run_once()
            except (StorageUnavailable, ConcurrentUpdate):
                self.note("a worker could not reach the database")

    def _judge_end(self, process: Process, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and process.is_alive and task.exception() is not None:
            self.fault(f"{process.name} ended with {task.exception()!r}")

    # --- the door for webhooks -------------------------------------------------------------------

    async def deliver(self, body: bytes) -> bool:
        """Post a webhook to an API process; tell whether it was acknowledged."""
        process = self.any_api()
        if process is None:
            return False
        try:
            outcome = await serve(process, lambda: self._receive(process, body))
        except (Unanswered, StorageUnavailable, ConcurrentUpdate):
            self.note("a webhook was not acknowledged")
            return False
        self.note(f"a webhook was {outcome} at the door")
        return True

    async def _receive(self, process: Process, body: bytes) -> str:
        return await receive_webhook(
            process.database,
            process.journal,
            SimulatedProvider(self.bank, process),
            process.clock,
            Quota(process.clock, per_minute=1, burst=1),
            Quota(process.clock, per_minute=1, burst=1),
            headers={"x-signature": "right"},
            body=body,
        )

    def any_api(self) -> Process | None:
        """Return an API process that lives, if there is one."""
        alive = [process for process in self.apis if process.is_alive]
        return self.chance.choice(alive) if alive else None


class Unanswered(Exception):
    """The process died, or the caller went away."""


async def serve(
    process: Process, work: Callable[[], Awaitable[object]], *, patience: float = 60.0
) -> object:
    """Let a process answer a request.

    Raises:
        Unanswered: It did not, and nobody knows what it did.
    """

    async def in_time() -> object:
        with deadline.within(REQUEST_SECONDS):
            return await work()

    task = process.spawn(in_time())
    done, _ = await asyncio.wait({task}, timeout=patience)
    if not done:
        task.cancel()  # the client hangs up
        process.world.note("a client hung up")
        raise Unanswered
    if task.cancelled() or isinstance(task.exception(), Killed):
        raise Unanswered
    return task.result()
