"""The relay: everything leaves, in order per key, and nothing is ticked off that has not left."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from payment_service.domain.clock import OffsetClock
from payment_service.messaging.broker import BrokerUnavailable, Message, MessageRefused
from payment_service.storage import migrate, outbox
from payment_service.storage.database import Database
from payment_service.storage.models import OutboxEvent
from payment_service.telemetry.metrics import Metrics
from payment_service.workers import relay as relay_module
from payment_service.workers.relay import LEASE, Relay

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
Answer = Callable[[Message], Exception | None]


class Broker:
    """A publisher that answers as it is told, and notes what it was given."""

    def __init__(self) -> None:
        self.given: list[Message] = []
        self.answer: Answer = lambda _message: None

    async def publish(self, messages: Sequence[Message]) -> list[Exception | None]:
        """Take messages; after one that failed, no later one of its key."""
        results: list[Exception | None] = []
        failed: set[str] = set()
        for message in messages:
            self.given.append(message)
            error = self.answer(message)
            if message.key in failed and error is None:
                error = BrokerUnavailable("an earlier message of the key was not sent")
            if error is not None:
                failed.add(message.key)
            results.append(error)
        return results

    def take(self) -> list[str]:
        """Tell which messages were given since the last time."""
        ids = [message.headers["message-id"] for message in self.given]
        self.given.clear()
        return ids


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url) as opened:
        await migrate.upgrade(opened)
        yield opened


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def clock() -> OffsetClock:
    return OffsetClock(lambda: NOW)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "TROUBLE_SECONDS", 0.0)
    monkeypatch.setattr(relay_module, "RENEW_SECONDS", 0.0)  # leases are looked at in every step


def make(database: Database, broker: Broker, clock: OffsetClock, owner: str = "r1") -> Relay:
    return Relay(database, broker, clock, Metrics(version="1", topics=["t"]), owner=owner,
                 wake=asyncio.Event())  # fmt: skip


async def write(database: Database, *names: str) -> None:
    """Put messages into the outbox; the first letter of a name is its key."""
    for name in names:
        message = outbox.NewMessage(topic="t", message_key=name[0], message_id=name,
                                    payload=b"{}", headers={}, at=NOW)  # fmt: skip
        await database.transact("test", lambda session, add=message: outbox.add(session, add))


async def test_everything_leaves_once_in_order(
    database: Database, broker: Broker, clock: OffsetClock
) -> None:
    await write(database, "a1", "b1", "a2", "b2")
    relay = make(database, broker, clock)

    assert await relay.run_once() == 4
    assert await relay.run_once() == 0
    assert broker.take() == ["a1", "b1", "a2", "b2"]


async def test_what_the_broker_did_not_take_comes_again_under_the_same_id(
    database: Database, broker: Broker, clock: OffsetClock
) -> None:
    await write(database, "a1", "a2", "b1")
    relay = make(database, broker, clock)
    broker.answer = lambda message: BrokerUnavailable("away") if message.key == "a" else None

    first = await relay.run_once()
    given = broker.take()
    broker.answer = lambda _message: None
    second = await relay.run_once()

    assert (first, given) == (1, ["a1", "a2", "b1"])
    assert (second, broker.take()) == (2, ["a1", "a2"])


async def test_nothing_is_ticked_off_before_the_broker_has_answered(
    database: Database, broker: Broker, clock: OffsetClock
) -> None:
    await write(database, "a1")
    relay = make(database, broker, clock)

    def die(_message: Message) -> None:
        raise RuntimeError("killed while the broker was asked")

    broker.answer = die
    with pytest.raises(RuntimeError):
        await relay.run_once()
    broker.take()
    broker.answer = lambda _message: None

    assert await relay.run_once() == 1
    assert broker.take() == ["a1"]


async def test_message_that_the_broker_will_never_take_blocks_its_own_key_only(
    database: Database, broker: Broker, clock: OffsetClock
) -> None:
    await write(database, "a1", "a2", "b1")
    relay = make(database, broker, clock)
    broker.answer = lambda m: (
        MessageRefused("too large") if m.headers["message-id"] == "a1" else None
    )

    await relay.run_once()
    broker.take()
    await write(database, "a3", "b2")

    assert await relay.run_once() == 1
    assert broker.take() == ["b2"]


async def test_row_that_was_committed_after_later_ones_is_not_forgotten(
    database: Database, broker: Broker, clock: OffsetClock
) -> None:
    await write(database, "a1", "b1")
    relay = make(database, broker, clock)
    # Numbers are given when a transaction writes, not when it commits: give the first a higher one.
    await database.transact(
        "test",
        lambda s: s.execute(update(OutboxEvent).where(OutboxEvent.id == 1).values(id=1000)),
    )
    await relay.run_once()
    await database.transact(
        "test",
        lambda s: s.execute(
            update(OutboxEvent).where(OutboxEvent.id == 1000).values(id=1, status=outbox.PENDING)
        ),
    )
    broker.take()

    assert await relay.run_once() == 1
    assert broker.take() == ["a1"]


async def test_two_relays_never_work_on_one_key_and_share_the_work(
    database: Database, broker: Broker, clock: OffsetClock
) -> None:
    first, second = (make(database, broker, clock, owner) for owner in ("r1", "r2"))
    await first.run_once()
    await second.run_once()  # from now on the first knows of it, and gives half away
    await first.run_once()
    await second.run_once()
    letters = "abcdefghijklmnopqrstuvwxyz"
    await write(database, *(f"{letter}1" for letter in letters))

    counts = [await relay.run_once() for relay in (first, second)]

    assert sorted(broker.take()) == [f"{letter}1" for letter in letters]
    assert all(counts), "both have work"
    assert sum(counts) == len(letters)


async def test_keys_of_a_dead_relay_are_taken_over_when_its_leases_end(
    database: Database, broker: Broker, clock: OffsetClock
) -> None:
    dead, heir = (make(database, broker, clock, owner) for owner in ("r1", "r2"))
    await dead.run_once()
    await write(database, "a1")

    before = await heir.run_once()
    clock.advance(LEASE + timedelta(seconds=1))
    after = await heir.run_once()

    assert (before, after) == (0, 1)
    assert broker.take() == ["a1"]


@pytest.mark.parametrize(("soon_for", "then"), [(3600, "SOON_SECONDS"), (0, "IDLE_SECONDS")])
async def test_relay_looks_again_sooner_after_it_has_published(
    database: Database, broker: Broker, clock: OffsetClock, monkeypatch: pytest.MonkeyPatch,
    soon_for: int, then: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(relay_module, "SOON_FOR_SECONDS", soon_for)
    relay = make(database, broker, clock)
    before = await relay._run_guarded()
    await write(database, "a1")

    pauses = [await relay._run_guarded() for _ in range(2)]

    assert before == relay_module.IDLE_SECONDS
    assert pauses == [0.0, getattr(relay_module, then)]


async def test_relay_that_stops_gives_its_keys_up_at_once(
    database: Database, broker: Broker, clock: OffsetClock
) -> None:
    leaving, heir = (make(database, broker, clock, owner) for owner in ("r1", "r2"))
    await leaving.run_once()
    await leaving.stop()
    await write(database, "a1")

    assert await heir.run_once() == 1
