"""The transactional outbox: messages wait here, written with the change that they tell of.

Source: https://microservices.io/patterns/data/transactional-outbox.html
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zlib import crc32

from sqlalchemy import bindparam, delete, func, select, update

from payment_service.storage import bulk
from payment_service.storage.database import Session
from payment_service.storage.models import OutboxEvent

SHARDS = 16
PENDING = "pending"
PUBLISHED = "published"
REFUSED = "refused"  # the broker will never take it: its key waits for an operator
KEPT = timedelta(days=7)  # how long a published message stays

# Left to itself MySQL walks along the primary key when much waits: to order by id it would need no
# sorting, and whatever was published before, millions of rows, is read on the way.
_IN_ORDER = "FORCE INDEX (ix_outbox_events_status_id_shard)"
_BLOCKED = select(OutboxEvent.message_key).where(OutboxEvent.status == REFUSED)
_PENDING = (
    select(
        OutboxEvent.id,
        OutboxEvent.topic,
        OutboxEvent.message_key,
        OutboxEvent.message_id,
        OutboxEvent.payload,
        OutboxEvent.headers,
    )
    .where(
        OutboxEvent.status == PENDING,
        OutboxEvent.shard.in_(bindparam("shards", expanding=True)),
        OutboxEvent.message_key.not_in(_BLOCKED),
    )
    .with_hint(OutboxEvent, _IN_ORDER, "mysql")
    .order_by(OutboxEvent.id)
    .limit(bindparam("limit"))
)
_MARK_PUBLISHED = (
    update(OutboxEvent)
    .where(OutboxEvent.id.in_(bindparam("ids", expanding=True)), OutboxEvent.status == PENDING)
    .values(status=PUBLISHED, published_at=bindparam("at"))
    .execution_options(synchronize_session=False)
)


@dataclass(frozen=True, slots=True)
class PendingMessage:
    """A message that waits to be published."""

    id: int
    topic: str
    message_key: str
    message_id: str
    payload: bytes
    headers: dict[str, str]


def shard_of(message_key: str) -> int:
    """Tell the shard of a key: all messages of one payment go through one relay, in order."""
    return crc32(message_key.encode()) % SHARDS


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A message to put into the outbox."""

    topic: str
    message_key: str
    message_id: str
    payload: bytes
    headers: dict[str, str]
    at: datetime


async def add(session: Session, *messages: NewMessage) -> None:
    """Put messages into the outbox, in order; they leave when the transaction has committed."""
    rows = [
        {
            "shard": shard_of(message.message_key),
            "topic": message.topic,
            "message_key": message.message_key,
            "message_id": message.message_id,
            "payload": message.payload,
            "headers": message.headers,
            "status": PENDING,
            "attempts": 0,
            "created_at": message.at,
        }
        for message in messages
    ]
    await bulk.insert_all(session, OutboxEvent, rows)


async def list_pending(
    session: Session, shards: Collection[int], *, limit: int
) -> Sequence[PendingMessage]:
    """List what waits in some shards, oldest first, without keys that a refused message blocks.

    By status, never by "id greater than the last": what commits late would be skipped.
    """
    asked = {"shards": shards, "limit": limit}
    return [PendingMessage(*row) for row in await session.execute(_PENDING, asked)]


async def mark_published(session: Session, ids: Sequence[int], at: datetime) -> None:
    """Note that the broker has them."""
    await session.execute(_MARK_PUBLISHED, {"ids": bulk.padded(ids), "at": at})


async def mark_refused(session: Session, message_row_id: int, reason: str) -> None:
    """Note that the broker will never take it; its key is blocked, so that nothing overtakes it."""
    await session.execute(
        update(OutboxEvent)
        .where(OutboxEvent.id == message_row_id, OutboxEvent.status == PENDING)
        .values(status=REFUSED, attempts=OutboxEvent.attempts + 1, last_error=reason[:255])
        .execution_options(synchronize_session=False)
    )


@dataclass(frozen=True, slots=True)
class Backlog:
    """What has not left yet."""

    pending: int
    oldest: datetime | None  # when the oldest pending message was written
    refused: int


async def backlog(session: Session) -> Backlog:
    """Count what waits, and tell since when the oldest does."""
    found = await session.execute(
        select(OutboxEvent.status, func.count(), func.min(OutboxEvent.created_at))
        .where(OutboxEvent.status.in_((PENDING, REFUSED)))
        .group_by(OutboxEvent.status)
    )
    by_status = {status: (count, oldest) for status, count, oldest in found}
    pending, oldest = by_status.get(PENDING, (0, None))
    refused, _ = by_status.get(REFUSED, (0, None))
    return Backlog(pending, oldest, refused)


async def purge(session: Session, *, published_before: datetime, limit: int) -> int:
    """Delete published messages of old; return how many."""
    old = (
        select(OutboxEvent.id)
        .where(OutboxEvent.status == PUBLISHED, OutboxEvent.published_at < published_before)
        .limit(limit)
    )
    ids = (await session.scalars(old)).all()
    await session.execute(delete(OutboxEvent).where(OutboxEvent.id.in_(ids)))
    return len(ids)
