"""Runs one schedule from its seed, and says what it came to."""

import asyncio
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

import structlog

from payment_service.domain.errors import (
    ConcurrentUpdate,
    IdempotencyInProgress,
    StorageUnavailable,
)
from payment_service.domain.payment import CLOSED_UNPAID
from payment_service.providers.provider import CheckoutState
from payment_service.storage import outbox
from tests.simulation import oracle
from tests.simulation.chance import Swarm, seeded
from tests.simulation.loop import NeverEnds, VirtualLoop
from tests.simulation.merchants import Merchants
from tests.simulation.process import EPOCH
from tests.simulation.world import EACH, WATCHED, World

SHARDS = 2  # fewer than in production, so that relays meet more often
ROUNDS_MAX = 300
QUIET_DAYS_MAX = 5
_EXPECTED = (StorageUnavailable, ConcurrentUpdate, IdempotencyInProgress)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a schedule came to; without faults the service kept its promises."""

    seed: int
    faults: list[str]
    marks: Counter[str]
    story: list[str]
    seconds: float  # of virtual time
    steps: int


def run(seed: int, *, is_traced: bool = False) -> Outcome:
    """Run the schedule of a seed."""
    chance = Random(seed)
    loop = VirtualLoop(chance)
    world = World(loop, chance, Swarm.draw(chance), is_traced=is_traced)
    world.trace("swarm", str(world.swarm))
    with seeded(chance), fewer_shards(), listening(world):
        try:
            loop.run_until_complete(_main(world))
        except NeverEnds as error:
            world.fault(f"the schedule never ends: {error}")
        except Exception as error:  # noqa: BLE001  # whatever it is, it is a finding
            world.fault(f"{type(error).__name__}: {error}")
            world.story += traceback.format_exception(error)
        outcome = Outcome(
            seed, list(world.faults), world.marks, world.story, loop.time(), loop.steps
        )
        bury(world)
    return outcome


async def _main(world: World) -> None:
    merchants = Merchants(world)
    world.apis = [world.born("api") for _ in range(EACH)]
    supervisors = [
        *(world.loop.create_task(world.keep_serving(place)) for place in range(EACH)),
        *(
            world.loop.create_task(world.keep_working(role))
            for role in ("relay", "consumer", "scheduler")
            for _ in range(EACH)
        ),
    ]
    if world.chance.random() < world.swarm.foreign_money:
        world.bank.receive_foreign(123_456)
    await asyncio.gather(*(merchants.shop(number) for number in range(world.swarm.payments)))
    world.is_quiet = True
    world.swarm = world.swarm.calmed()
    world.trace("world", "comes to rest")
    for process in world.processes:
        process.calm()
    await asyncio.wait(supervisors)
    await _rest(world)
    oracle.judge(world, merchants.answers)


async def _rest(world: World) -> None:
    """Let calm processes work until nothing is left to do, skipping the time in between."""
    world.apis = [world.born("api")]
    workers = [world.worker(role) for role in ("relay", "consumer", "scheduler")]
    deadline = world.loop.time() + timedelta(days=QUIET_DAYS_MAX).total_seconds()
    for _ in range(ROUNDS_MAX):
        worked = 0
        for worker in workers:
            if not worker.has_work():
                continue
            try:
                worked += await worker.run_once()
            except StorageUnavailable:
                # A process that stalled before the calm may hold a lock for some time yet.
                world.note("a worker could not reach the database")
                worked += 1
        if worked:
            continue
        left = _unfinished(world)
        if not left:
            return
        wait = _next_moment(world, {each.process.name for each in workers})
        if world.loop.time() + wait > deadline:
            break
        await asyncio.sleep(wait)
    world.fault(f"it never came to rest: {_unfinished(world)}")


def _unfinished(world: World) -> list[str]:
    """Name what still has to happen."""
    tables = world.store.tables
    left = [f"{world.bank.busy} at the bank"] if world.bank.busy else []
    for name, waiting in (
        ("payments", "pending"), ("refunds", "pending"), ("webhook_events", "received"),
        ("outbox_events", "pending"),
    ):  # fmt: skip
        left += [
            f"{name} {row.get('id')}"
            for _, row in tables[name].rows(None)
            if row["status"] == waiting
        ]
    left += [
        f"request {row['resource_id']}" for _, row in tables["idempotency_keys"].rows(None)
        if row["state"] == "in_progress"
    ]  # fmt: skip
    ended = {
        row["return_url"] for _, row in tables["payments"].rows(None)
        if row["status"] in CLOSED_UNPAID
    }  # fmt: skip
    left += [
        f"link {code} can be paid" for code, link in world.bank.links.items()
        if link.order in ended and link.state is CheckoutState.OPEN
        and world.bank.now() < link.ends_at
    ]  # fmt: skip
    if world.broker.waiting("payments.webhooks.v1"):
        left.append("messages")
    receipts = {row["bank_reference"] for _, row in tables["receipts"].rows(None)}
    for link in world.bank.links.values():
        left += [
            f"transfer {each.bank_reference}" for each in link.transfers
            if each.bank_reference not in receipts
        ]  # fmt: skip
    left += [
        f"refund {row['id']} was sent back" for _, row in tables["refunds"].rows(None)
        if row["status"] == "succeeded"
        and (payout := world.bank.payouts.get(f"{row['id']}-{row['payout_number']}"))
        and payout.state == "returned"
    ]  # fmt: skip
    return left


def _next_moment(world: World, alive: set[str]) -> float:
    """Tell how many seconds to skip until something is due, or a lease of the dead ends."""
    now = world.loop.time()
    tables = world.store.tables
    due = [
        _seconds(row["next_check_at"])
        for name in WATCHED
        for _, row in tables[name].rows(None)
        if row["next_check_at"] is not None
    ] + [
        _seconds(row["expires_at"])
        for _, row in tables["leases"].rows(None)
        if row["owner"] not in alive
    ]
    soonest = min((each for each in due if each > now), default=now + 3600)
    if world.bank.busy:
        soonest = min(soonest, world.loop.next_timer())
    return soonest - now + 0.001


def _seconds(moment: datetime) -> float:
    return (moment - EPOCH).total_seconds()


@contextmanager
def fewer_shards() -> Iterator[None]:
    """Spread keys over few shards."""
    real, outbox.SHARDS = outbox.SHARDS, SHARDS
    try:
        yield
    finally:
        outbox.SHARDS = real


@contextmanager
def listening(world: World) -> Iterator[None]:
    """Hear of errors that a worker caught because it did not expect them: each is a bug."""

    def hear(_logger: Any, method: str, event: Any) -> Any:
        error = event.get("exc_info")
        error = error if isinstance(error, BaseException) else sys.exc_info()[1]
        world.trace("log", f"{event.get('event')}: {error!r}")
        if method == "error" and error is not None and not isinstance(error, _EXPECTED):
            world.fault(f"{event.get('event')}: {type(error).__name__}: {error}")
        raise structlog.DropEvent

    kept = structlog.get_config()
    structlog.configure(
        processors=[hear],
        wrapper_class=structlog.make_filtering_bound_logger(40),
        logger_factory=structlog.ReturnLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**kept)


def bury(world: World) -> None:
    """End a world: its processes have no effect any more, its tasks unwind."""
    for process in world.processes:
        process.is_alive = False
    loop = world.loop
    loop.steps = 0
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    try:
        if left:
            loop.run_until_complete(asyncio.wait(left))
    except NeverEnds:
        for task in left:
            task._log_destroy_pending = False
    loop.close()
