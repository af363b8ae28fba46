"""The relay: from the outbox in MySQL to Kafka, 500 messages at a time."""

from dataclasses import dataclass

from tests.benchmarks import machine, seeds
from tests.benchmarks.rounds import take_turns
from tests.benchmarks.samples import Finding, Sample, Section
from tests.benchmarks.size import Size
from tests.benchmarks.stage import Stage
from tests.support.process import wait_until

SECONDS_MAX = 120


@dataclass(frozen=True, slots=True)
class Carrier:
    """A relay, and the database that it empties."""

    database: str
    pid: int


async def measure(stage: Stage, size: Size) -> list[Section]:
    """Compare with a raw loop of asyncmy and aiokafka."""
    raw = await stage.peer("bare_relay", "bench_raw", KAFKA=stage.kafka.bootstrap)
    ours = await stage.service("bench_workers", "relay")
    raw.settle()
    sides = {
        "ours": Carrier(ours.database, ours.pid_of("relay")),
        "raw": Carrier(raw.database, raw.pid),
    }

    async def run(side: Carrier, first: int) -> Sample:
        return empty_outbox(stage, side, first, size.relayed)

    section = Section(
        "relay",
        f"{size.rounds} rounds of {size.relayed} messages, real Kafka",
        "events/s",
    )
    section.sides = await take_turns(
        sides, size.rounds, prepare=lambda _number: stage.take(size.relayed), run=run
    )
    section.findings = [
        Finding(what="events/s / raw", values=section.ratios("ours", "raw"), at_least=0.6)
    ]
    section.notes = ["from the stamp of the first batch to that of the last"]
    return [section]


def empty_outbox(stage: Stage, side: Carrier, first: int, count: int) -> Sample:
    """Fill the outbox at once and wait until it is empty; the rows say how long it took."""

    def is_empty() -> bool:
        return stage.count(side.database, "outbox_events", "status = 'pending'") == 0

    wait_until(is_empty, seconds=SECONDS_MAX, what="what waited before is published")
    before = machine.cpu_seconds(side.pid)
    ((last,),) = stage.mysql.query(f"SELECT IFNULL(MAX(id), 0) FROM {side.database}.outbox_events")
    seeds.waiting_messages(stage.mysql, side.database, first, count)
    wait_until(is_empty, seconds=SECONDS_MAX, what="the outbox is empty")
    used = machine.cpu_seconds(side.pid) - before
    stamps = stage.mysql.query(
        "SELECT COUNT(*), UNIX_TIMESTAMP(published_at)"
        f" FROM {side.database}.outbox_events WHERE id > {last}"
        " GROUP BY published_at ORDER BY published_at"
    )
    batches = [(int(rows or 0), float(at or 0)) for rows, at in stamps]
    assert sum(rows for rows, _ in batches) == count, "every message has a stamp"
    seconds = batches[-1][1] - batches[0][1]
    return Sample(rate=(count - batches[0][0]) / seconds, cpu_us=used / count * 1e6)
