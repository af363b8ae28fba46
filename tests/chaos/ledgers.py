"""The ledgers of a run, each read from the one who keeps it: provider, database, Kafka."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import confluent_kafka
from sqlalchemy import Select, func, select

from payment_service.messaging.topics import TOPICS
from payment_service.storage import invariants
from payment_service.storage.database import Database, Session
from payment_service.storage.models import (
    IdempotencyKey,
    OutboxEvent,
    Payment,
    PaymentAttempt,
    Reallocation,
    Receipt,
    Refund,
    WebhookEvent,
)

READ_SECONDS_MAX = 120.0
POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Record:
    """A message in the log."""

    topic: str
    partition: int
    key: str
    message_id: str
    value: bytes


@dataclass(slots=True)
class Stored:
    """What the database says."""

    payments: dict[str, Payment]
    attempts: Sequence[PaymentAttempt]
    receipts: Sequence[Receipt]
    moves: Sequence[Reallocation]
    refunds: dict[str, Refund]
    outbox: Sequence[OutboxEvent]
    keys: dict[str, IdempotencyKey]
    webhooks: Sequence[WebhookEvent]
    violations: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Books:
    """All ledgers, at rest."""

    provider: dict[str, Any]  # as its admin API shows it
    stored: Stored
    log: Sequence[Record]
    answers: dict[str, tuple[int, bytes]]  # that clients got, by key
    payments_by_key: dict[str, str]


async def read_stored(database: Database, now: datetime) -> Stored:
    """Read the database."""

    async def read(session: Session) -> Stored:
        async def rows(model: Any) -> Sequence[Any]:
            return (await session.scalars(select(model))).all()

        return Stored(
            payments={row.id: row for row in await rows(Payment)},
            attempts=await rows(PaymentAttempt),
            receipts=await rows(Receipt),
            moves=await rows(Reallocation),
            refunds={row.id: row for row in await rows(Refund)},
            outbox=(await session.scalars(select(OutboxEvent).order_by(OutboxEvent.id))).all(),
            keys={row.key: row for row in await rows(IdempotencyKey)},
            webhooks=await rows(WebhookEvent),
            violations=await invariants.find_violations(session, now=now),
        )

    return await database.read(read)


async def unfinished(database: Database) -> dict[str, int]:
    """Count what has not come to its end, by kind."""
    return await _count(database, {
        "payments pending": select(func.count()).where(Payment.status == "pending"),
        "refunds pending": select(func.count()).where(Refund.status == "pending"),
    })  # fmt: skip


async def due(database: Database, now: datetime) -> dict[str, int]:
    """Count what is to be done at once, by kind."""
    return await _count(database, {
        "payments due": select(func.count()).where(Payment.next_check_at <= now),
        "refunds due": select(func.count()).where(Refund.next_check_at <= now),
        "webhooks received": select(func.count()).where(WebhookEvent.status == "received"),
        "messages pending": select(func.count()).where(OutboxEvent.status == "pending"),
    })  # fmt: skip


async def _count(database: Database, queries: dict[str, Select[tuple[int]]]) -> dict[str, int]:
    async def count(session: Session) -> dict[str, int]:
        counts = {name: await session.scalar(query) or 0 for name, query in queries.items()}
        return {name: number for name, number in counts.items() if number}

    return await database.read(count)


def read_log(bootstrap: str) -> list[Record]:
    """Read all topics from their beginnings to their ends, with an independent client."""
    consumer = confluent_kafka.Consumer({
        "bootstrap.servers": bootstrap, "group.id": f"auditor-{time.time_ns()}",
        "enable.partition.eof": True, "enable.auto.commit": False,
    })  # fmt: skip
    deadline = time.monotonic() + READ_SECONDS_MAX
    try:
        known = consumer.list_topics(timeout=READ_SECONDS_MAX).topics
        places = [
            confluent_kafka.TopicPartition(topic.name, number, confluent_kafka.OFFSET_BEGINNING)
            for topic in TOPICS
            for number in known[topic.name].partitions
        ]
        consumer.assign(places)
        records: list[Record] = []
        open_places = {(place.topic, place.partition) for place in places}
        while open_places and time.monotonic() < deadline:
            message = consumer.poll(POLL_SECONDS)
            if message is None:
                continue
            if message.error() is None:
                records.append(_record(message))
            elif message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF:
                open_places.discard((message.topic(), message.partition()))
        assert not open_places, f"not read within {READ_SECONDS_MAX:g} s: {open_places}"
        return records
    finally:
        consumer.close()


def _record(message: Any) -> Record:
    headers = dict(message.headers() or ())
    return Record(
        topic=message.topic(),
        partition=message.partition(),
        key=message.key().decode(),
        message_id=headers["message-id"].decode(),
        value=message.value(),
    )
