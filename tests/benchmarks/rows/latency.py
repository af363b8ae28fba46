"""The whole way: from the acknowledged webhook to `payment.paid` in Kafka, over three processes.

An open loop: webhooks leave at random times at a given rate, however slow the answers are. They
count from the time at which they should have left, so a stall is seen by all who meet it.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from payment_service.messaging import topics
from tests.benchmarks import machine, messages, seeds
from tests.benchmarks.load import LoadFailed, open_loop
from tests.benchmarks.rounds import tell
from tests.benchmarks.samples import Finding, Sample, Section, percentile
from tests.benchmarks.size import Size
from tests.benchmarks.stage import Service, Stage

ROLES = ("api", "relay", "consumer")
WARM_UP = 30
IDLE_GAP_SECONDS = 0.5
IDLE_P50_MS_MAX = 50.0
ARRIVE_SECONDS_MAX = 60.0
ASK_SECONDS = 0.02


class _Event(msgspec.Struct):
    type: str
    subject: str


async def measure(stage: Stage, size: Size) -> list[Section]:
    """Measure under a steady load, and idle: one webhook now and then."""
    service = await stage.service("bench_workers", *ROLES)
    for role in service.roles:
        machine.move(role.process.pid, machine.ALL)
    chooser = random.Random(2)
    async with listening(stage.kafka.bootstrap) as readable_at:
        journey = _Journey(stage, service, readable_at)
        await journey.run([number * 0.05 for number in range(WARM_UP)])
        steady = Section(
            "latency",
            f"webhook to Kafka, open loop, {size.steady_rate} a second,"
            f" {size.rounds} rounds of {size.steady_seconds:g} s",
            "webhooks/s",
            sides={role: [] for role in ROLES},
        )
        spans = [
            await journey.run(poisson(chooser, size.steady_rate, size.steady_seconds), steady)
            for _ in range(size.rounds)
        ]
        gaps = [(0.5 + chooser.random()) * IDLE_GAP_SECONDS for _ in range(size.idle_webhooks)]
        idle_spans = await journey.run([sum(gaps[:number]) for number in range(len(gaps))])
    steady.findings = [
        finding
        for what in ("acknowledged", "readable")
        for finding in _findings(what, [round_spans[what] for round_spans in spans])
    ]
    refused = [round_spans["refused"][0] for round_spans in spans]
    steady.findings.append(Finding(what="refused with 503", values=refused, unit="%"))
    steady.notes = ["processes on all processors; sides tell only what each uses for a webhook"]
    idle = Section("idle", f"webhook to Kafka, {size.idle_webhooks} webhooks, one at a time")
    waits = idle_spans["readable"]
    idle.findings = [
        Finding(what="acknowledged -> readable p50", values=[percentile(waits, 0.5) * 1e3],
                unit="ms", at_most=IDLE_P50_MS_MAX),
        Finding(what="acknowledged -> readable p99", values=[percentile(waits, 0.99) * 1e3],
                unit="ms"),
    ]  # fmt: skip
    return [steady, idle]


def _findings(what: str, rounds: Sequence[Sequence[float]]) -> list[Finding]:
    span = {"acknowledged": "sent", "readable": "acknowledged"}[what] + f" -> {what}"
    return [
        Finding(
            what=f"{span} p{share * 100:.0f}",
            values=[percentile(spans, share) * 1e3 for spans in rounds],
            unit="ms",
        )
        for share in (0.5, 0.99)
    ]


def poisson(chooser: random.Random, rate: float, seconds: float) -> list[float]:
    """Choose times as callers do who know nothing of each other."""
    times: list[float] = []
    at = chooser.expovariate(rate)
    while at < seconds:
        times.append(at)
        at += chooser.expovariate(rate)
    return times


class _Journey:
    """Sends webhooks for payments that wait, and follows each to Kafka."""

    def __init__(
        self, stage: Stage, service: Service, readable_at: Callable[[int], float | None]
    ) -> None:
        self._stage = stage
        self._service = service
        self._readable_at = readable_at

    async def run(
        self, times: Sequence[float], section: Section | None = None
    ) -> dict[str, list[float]]:
        """Send one webhook at each time; return in seconds what each step took."""
        count = len(times)
        first = self._stage.take(count)
        seeds.open_payments(self._stage.mysql, self._service.database, first, count)
        acknowledged: dict[int, float] = {}
        before = self._used()
        load = await open_loop(
            self._service.port,
            list(zip(times, messages.webhooks(first, count), strict=True)),
            expected=HTTPStatus.OK,
            on_acknowledged=lambda number, at: acknowledged.update({first + number: at}),
        )
        if not acknowledged:
            raise LoadFailed("every webhook was refused")
        arrived = await self._arrivals(acknowledged)
        if section is not None:
            used = self._used()
            for role in ROLES:
                cpu_us = (used[role] - before[role]) / count * 1e6
                section.sides[role].append(Sample(rate=count / load.seconds, cpu_us=cpu_us))
        spans = [arrived[number] - at for number, at in acknowledged.items()]
        tell(f"{count} webhooks: readable after {percentile(spans, 0.5) * 1e3:.0f} ms (p50)")
        refused = [len(load.refused) / count * 100]
        return {"acknowledged": list(load.times), "readable": spans, "refused": refused}

    async def _arrivals(self, numbers: Collection[int]) -> dict[int, float]:
        deadline = time.monotonic() + ARRIVE_SECONDS_MAX
        while True:
            found = {number: self._readable_at(number) for number in numbers}
            arrived = {number: at for number, at in found.items() if at is not None}
            if len(arrived) == len(numbers):
                return arrived
            if time.monotonic() > deadline:
                missing = len(numbers) - len(arrived)
                raise TimeoutError(f"{missing} of {len(numbers)} events never came")
            await asyncio.sleep(ASK_SECONDS)

    def _used(self) -> dict[str, float]:
        return {role: machine.cpu_seconds(self._service.pid_of(role)) for role in ROLES}


@asynccontextmanager
async def listening(bootstrap: str) -> AsyncIterator[Callable[[int], float | None]]:
    """Read the events' topic from now on; give what tells when a payment was read to be paid."""
    read: dict[int, float] = {}
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        numbers = await _partitions(consumer)
        consumer.assign([TopicPartition(topics.EVENTS, number) for number in numbers])
        await consumer.seek_to_end()

        async def listen() -> None:
            async for message in consumer:
                event = msgspec.json.decode(message.value, type=_Event)
                if event.type == "payment.paid":
                    read.setdefault(messages.number_of(event.subject), time.perf_counter())

        task = asyncio.create_task(listen())
        try:
            yield read.get
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _partitions(consumer: AIOKafkaConsumer) -> set[int]:
    """Ask for the topic's partitions until they are known."""
    deadline = time.monotonic() + ARRIVE_SECONDS_MAX
    while time.monotonic() < deadline:
        await consumer._client.force_metadata_update()
        found = consumer.partitions_for_topic(topics.EVENTS)
        if found:
            return set(found)
        await asyncio.sleep(ASK_SECONDS)
    raise TimeoutError(f"{topics.EVENTS} has no partitions")
