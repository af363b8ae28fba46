"""What can go wrong with Kafka only: it is down, it dies, its consumers are killed."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from payment_service.messaging.broker import BrokerUnavailable, Message, MessageRefused
from payment_service.messaging.kafka import KafkaBroker
from payment_service.messaging.kafka_publisher import (
    PUBLISH_TIMEOUT_SECONDS,
    STOP_TIMEOUT_SECONDS,
)
from tests.contract.brokers.conftest import PARTITIONS, kafka_url
from tests.contract.brokers.harness import (
    DEADLINE_SECONDS,
    Received,
    consuming,
    first_times,
    messages,
    send,
    sending,
    until,
)

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("back_again")]

PUBLISH_MAX_SECONDS = PUBLISH_TIMEOUT_SECONDS + 2 * STOP_TIMEOUT_SECONDS + 5  # for slow machines
CONSUMER = Path(__file__).with_name("consumer_process.py")


@pytest.fixture
def back_again(kafka_server) -> Iterator[None]:
    """Have the broker back for the next test, whatever happens."""
    yield
    if kafka_server.is_running:
        kafka_server.resume()
    else:
        kafka_server.start()


@asynccontextmanager
async def admin_of(server) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=server.bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


@pytest.mark.slow
async def test_a_broker_that_is_down_at_the_start_is_waited_for(
    kafka: KafkaBroker, kafka_server, topic: str
):
    await kafka.ensure_topics()
    kafka_server.kill()
    received = Received()

    async with consuming(kafka.subscriber(), topic, received):
        started = time.monotonic()
        (down,) = await kafka.publisher.publish(messages(topic, "a"))
        assert time.monotonic() - started < PUBLISH_MAX_SECONDS
        with pytest.raises(BrokerUnavailable):
            await kafka.check()
        await asyncio.to_thread(kafka_server.restart)
        await send(kafka.publisher, messages(topic, "a"))
        await until(lambda: bool(received.messages))

    assert isinstance(down, BrokerUnavailable)
    assert first_times(received.values()) == [b"0"]


@pytest.mark.slow
async def test_topics_are_made_while_the_broker_is_coming_back(
    kafka: KafkaBroker, kafka_server, topic: str
):
    await asyncio.to_thread(kafka_server.kill)
    coming_back = asyncio.create_task(asyncio.to_thread(kafka_server.start))

    await kafka.ensure_topics()

    await coming_back
    assert await kafka.publisher.publish(messages(topic, "a")) == [None]


@pytest.mark.slow
async def test_nothing_is_lost_or_out_of_order_when_the_broker_dies_in_the_middle(
    kafka: KafkaBroker, kafka_server, topic: str
):
    await kafka.ensure_topics()
    keys = [f"key-{n}" for n in range(8)]
    received = Received()

    async def keep_sending() -> None:
        for number in range(60):
            await send(kafka.publisher, messages(topic, *keys, start=number))
            await asyncio.sleep(0.02)

    async with consuming(kafka.subscriber(), topic, received), asyncio.TaskGroup() as group:
        group.create_task(keep_sending())
        await until(lambda: len(received.messages) > 40)
        await asyncio.to_thread(kafka_server.kill)
        await asyncio.to_thread(kafka_server.restart)
        await until(lambda: all(b"59" in received.values(key) for key in keys))

    for key in keys:
        assert first_times(received.values(key)) == [b"%d" % number for number in range(60)]


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["kill", "pause"])
async def test_publishing_ends_in_time_when_the_broker_dies_or_hangs_and_works_again_later(
    kafka: KafkaBroker, kafka_server, topic: str, trouble: str
):
    await kafka.ensure_topics()
    assert await kafka.publisher.publish(messages(topic, "a")) == [None]
    await asyncio.to_thread(getattr(kafka_server, trouble))

    started = time.monotonic()
    results = await kafka.publisher.publish(messages(topic, "a", "b", count=3, start=1))
    took = time.monotonic() - started

    assert [type(result) for result in results] == [BrokerUnavailable] * 6
    assert took < PUBLISH_MAX_SECONDS
    left = [task for task in asyncio.all_tasks() if "Sender." in repr(task)]
    assert not left, "an abandoned producer must not go on and deliver later"

    await asyncio.to_thread(kafka_server.start if trouble == "kill" else kafka_server.resume)
    await send(kafka.publisher, messages(topic, "a", "b", count=3, start=1))


@pytest.mark.slow
async def test_a_subscriber_stops_in_time_when_the_broker_is_dead(
    kafka: KafkaBroker, kafka_server, topic: str
):
    await kafka.ensure_topics()
    received = Received()
    async with consuming(kafka.subscriber(), topic, received):
        await send(kafka.publisher, messages(topic, "a"))
        await until(lambda: bool(received.messages))
        await asyncio.to_thread(kafka_server.kill)
        started = time.monotonic()

    assert time.monotonic() - started < 25  # ten for the lanes, five to leave, ten to spare


@pytest.mark.slow
async def test_the_messages_of_a_killed_consumer_are_taken_over(
    kafka: KafkaBroker, kafka_server, topic: str
):
    await kafka.ensure_topics()
    keys = [f"key-{n}" for n in range(8)]
    victim = await asyncio.create_subprocess_exec(
        sys.executable, str(CONSUMER), kafka_url(kafka_server), topic,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    heir = Received()
    try:
        await send(kafka.publisher, messages(topic, *keys))
        async with asyncio.timeout(DEADLINE_SECONDS):
            for _ in keys:
                await victim.stdout.readline()
    finally:
        victim.kill()
        await victim.communicate()

    async with consuming(kafka.subscriber(), topic, heir):
        await send(kafka.publisher, messages(topic, *keys, start=1))
        await until(lambda: all(b"1" in heir.values(key) for key in keys))

    assert {heir.values(key)[-1] for key in keys} == {b"1"}


async def test_a_rebalance_waits_for_the_message_in_hand_so_that_it_is_handled_once(
    kafka: KafkaBroker, topic: str
):
    await kafka.ensure_topics()
    begun: list[Message] = []
    released = asyncio.Event()

    async def hold(message: Message) -> None:
        begun.append(message)
        await released.wait()

    slow, newcomer = Received(hold), Received(hold)
    async with consuming(kafka.subscriber(), topic, slow):
        await send(kafka.publisher, messages(topic, "a"))
        await until(lambda: bool(begun))
        joining = kafka.subscriber()
        async with consuming(joining, topic, newcomer):
            loop = asyncio.get_running_loop()
            loop.call_later(2.0, released.set)  # the heartbeat that tells of the newcomer: 1.2 s
            await until(lambda: bool(joining.lag()))
            await until(lambda: len(slow.messages) + len(newcomer.messages) >= 1)

    assert slow.values() + newcomer.values() == [b"0"]
    assert len(begun) == 1, "the handler was not interrupted"


async def test_topics_are_made_with_their_partitions_and_retention(
    kafka: KafkaBroker, kafka_server, topic: str
):
    await kafka.ensure_topics()

    async with admin_of(kafka_server) as admin:
        described: dict[str, list[object]] = {}
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not described.get("partitions"):  # it takes the broker a moment to know them
                (described,) = await admin.describe_topics([topic])
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    configs = {entry[0]: entry[1] for entry in answer.resources[0][4]}

    assert len(described["partitions"]) == PARTITIONS
    assert configs["retention.ms"] == str(24 * 60 * 60 * 1000)


async def test_a_message_that_only_the_broker_finds_too_large_is_told_from_its_neighbours(
    kafka: KafkaBroker, kafka_server, topic: str
):
    async with admin_of(kafka_server) as admin:
        limits = {"max.message.bytes": "20000"}
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=limits)])
    batch = [
        Message(topic, "small", b"1"),
        Message(topic, "large", b"x" * 30_000),
        Message(topic, "other", b"1"),
    ]
    sent, refused = [], []
    for _ in range(5):  # like the relay: what was unavailable is sent again
        results = await kafka.publisher.publish(batch)
        outcomes = list(zip(batch, results, strict=True))
        sent += [message.key for message, result in outcomes if result is None]
        refused += [m.key for m, result in outcomes if isinstance(result, MessageRefused)]
        batch = [m for m, result in outcomes if isinstance(result, BrokerUnavailable)]

    assert refused == ["large"]
    assert sorted(sent) == ["other", "small"]


async def test_the_lag_of_a_newcomer_is_the_whole_backlog(kafka: KafkaBroker, topic: str):
    await kafka.ensure_topics()
    await send(kafka.publisher, messages(topic, "a", "b", "c", count=10))
    released = asyncio.Event()

    async def hold(_: Message) -> None:
        await released.wait()

    received = Received(hold)
    async with (
        consuming(kafka.subscriber(), topic, received) as subscriber,
        sending(kafka.publisher, messages(topic, "a", start=10)),
    ):
        await until(lambda: sum(subscriber.lag().values()) == 31)
        released.set()
        await until(lambda: len(received.messages) == 31)
