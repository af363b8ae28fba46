"""A relay by hand: read 500, send them, wait for Kafka, mark them; one loop, nothing else."""

import asyncio
import os
from datetime import UTC, datetime
from typing import Any

import asyncmy
import msgspec
import uvloop
from aiokafka import AIOKafkaProducer

from tests.benchmarks.peers.settings import asyncmy_options

BATCH = 500
IDLE_SECONDS = 0.1
SELECT = (
    "SELECT id, topic, message_key, message_id, payload, headers FROM outbox_events"
    " WHERE status = 'pending' ORDER BY id LIMIT %s"
)
MARK = "UPDATE outbox_events SET status = 'published', published_at = %s WHERE id IN ({})"


async def main() -> None:
    """Relay until killed."""
    connection = await asyncmy.connect(**asyncmy_options())
    producer = AIOKafkaProducer(
        bootstrap_servers=os.environ["KAFKA"],
        acks="all",
        enable_idempotence=True,
        linger_ms=2,
        max_batch_size=262_144,
    )
    await producer.start()
    async with connection.cursor() as cursor:
        while True:
            await cursor.execute(SELECT, (BATCH,))
            rows = await cursor.fetchall()
            if not rows:
                await connection.rollback()
                await asyncio.sleep(IDLE_SECONDS)
                continue
            await asyncio.gather(*[await send(producer, *row) for row in rows])
            marks = ", ".join(["%s"] * len(rows))
            now = datetime.now(UTC).replace(tzinfo=None)
            await cursor.execute(MARK.format(marks), (now, *(row[0] for row in rows)))
            await connection.commit()


async def send(
    producer: AIOKafkaProducer,
    _row: int,
    topic: str,
    key: str,
    message_id: str,
    payload: bytes,
    headers: str,
) -> Any:
    """Hand a message to the producer; return what its outcome is waited for by."""
    pairs = msgspec.json.decode(headers, type=dict[str, str]) | {"message-id": message_id}
    encoded = [(name, text.encode()) for name, text in pairs.items()]
    return await producer.send(topic, payload, key=key.encode(), headers=encoded)


if __name__ == "__main__":
    uvloop.run(main())
