"""The consumer: stored webhooks are applied, each in one transaction, as their messages come."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from aiokafka import AIOKafkaProducer

from payment_service.messaging import events, topics
from payment_service.messaging.kafka import open_kafka
from payment_service.messaging.topics import Topic
from tests.benchmarks import machine, messages, seeds
from tests.benchmarks.rounds import take_turns
from tests.benchmarks.samples import Finding, Sample, Section
from tests.benchmarks.size import Size
from tests.benchmarks.stage import Stage
from tests.support.process import wait_until

SECONDS_MAX = 300
RAW_TOPIC = "bench.webhooks"
CHANGED = ("receipts", "audit_log", "outbox_events")


@dataclass(frozen=True, slots=True)
class Applier:
    """A consumer, its topic and its database."""

    database: str
    pid: int
    topic: str
    sealed: bool  # whether payloads are stored sealed


async def measure(stage: Stage, size: Size) -> list[Section]:
    """Compare with a raw loop that sends the same SQL."""
    kafka = stage.kafka
    async with open_kafka(
        kafka.url, client_id="bench", topics=[Topic(RAW_TOPIC, timedelta(days=1))]
    ) as broker:
        await broker.ensure_topics()
    raw = await stage.peer("bare_consumer", "bench_raw", KAFKA=kafka.bootstrap, TOPIC=RAW_TOPIC)
    ours = await stage.service("bench_workers", "consumer")
    raw.settle()
    sides = {
        "ours": Applier(ours.database, ours.pid_of("consumer"), topics.WEBHOOKS, sealed=True),
        "raw": Applier(raw.database, raw.pid, RAW_TOPIC, sealed=False),
    }

    async def run(side: Applier, first: int) -> Sample:
        return await apply_all(stage, side, first, size.applied)

    section = Section(
        "consumer",
        f"{size.rounds} rounds of {size.applied} webhooks that pay a payment each",
        "webhooks/s",
    )
    databases = [side.database for side in sides.values()]
    asked = (size.rounds + 1) * size.applied
    async with stage.growing(databases, CHANGED, by=asked):
        section.sides = await take_turns(
            sides, size.rounds, prepare=lambda _number: stage.take(size.applied), run=run
        )
    section.findings = [
        Finding(what="webhooks/s / raw", values=section.ratios("ours", "raw"), at_least=0.4)
    ]
    section.notes = ["from the stamp of the first webhook to that of the last; 6 partitions"]
    return [section]


async def apply_all(stage: Stage, side: Applier, first: int, count: int) -> Sample:
    """Store webhooks, tell of them, and wait until all are applied; the rows say how long it took.

    The messages come at once, so the consumer is never short of work.
    """
    seeds.open_payments(stage.mysql, side.database, first, count)
    url = await stage.database(side.database)
    ids = await seeds.received_webhooks(url, first, count, sealed=side.sealed)
    before = machine.cpu_seconds(side.pid)
    await tell_of(stage.kafka.bootstrap, side.topic, ids, first)

    def is_done() -> bool:
        return stage.count(side.database, "webhook_events", "status = 'received'") == 0

    wait_until(is_done, seconds=SECONDS_MAX, what="all webhooks are applied")
    used = machine.cpu_seconds(side.pid) - before
    ((applied, since, until),) = stage.mysql.query(
        "SELECT COUNT(*), UNIX_TIMESTAMP(MIN(processed_at)), UNIX_TIMESTAMP(MAX(processed_at))"
        f" FROM {side.database}.webhook_events"
        f" WHERE id BETWEEN '{ids[0]}' AND '{ids[-1]}' AND status = 'applied' AND reason IS NULL"
    )
    assert applied == str(count), f"{applied} of {count} webhooks were applied"
    seconds = float(until or 0) - float(since or 0)
    return Sample(rate=(count - 1) / seconds, cpu_us=used / count * 1e6)


async def tell_of(bootstrap: str, topic: str, webhook_ids: list[str], first: int) -> None:
    """Send the messages that name stored webhooks."""
    now = datetime.now(UTC)
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=5) as producer:
        for number, webhook_id in enumerate(webhook_ids, first):
            value = events.webhook_received(
                webhook_id=webhook_id, provider=messages.PROVIDER, at=now
            )
            await producer.send(topic, value, key=str(messages.order_code(number)).encode())
        await producer.flush()
