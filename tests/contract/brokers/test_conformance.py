"""What the service relies on, whichever broker it runs on."""

import asyncio

import pytest

from payment_service.messaging.broker import Broker, BrokerUnavailable, Message, MessageRefused
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

TOO_LARGE = b"x" * (2 * 1024 * 1024)


def in_order(count: int, start: int = 0) -> list[bytes]:
    return [b"%d" % number for number in range(start, start + count)]


async def test_a_message_arrives_as_it_was_sent(broker: Broker, topic: str):
    received = Received()
    sent = Message(topic, "khóa", b'{"a": 1}\x00\xff', {"message-id": "m1", "traceparent": "00-ab"})

    async with consuming(broker.subscriber(), topic, received):
        assert await broker.publisher.publish([sent]) == [None]
        await until(lambda: bool(received.messages))

    assert received.messages == [sent]


async def test_nothing_published_is_nothing_done(broker: Broker):
    assert await broker.publisher.publish([]) == []


async def test_messages_of_one_key_keep_their_order(broker: Broker, topic: str):
    async def dawdle(message: Message) -> None:
        for _ in range(len(message.key) % 4):
            await asyncio.sleep(0)

    keys = [f"key-{'x' * n}" for n in range(20)]
    received = Received(dawdle)

    async with consuming(broker.subscriber(), topic, received):
        await send(broker.publisher, messages(topic, *keys, count=30))
        await until(lambda: len(received.messages) >= 600)

    assert {key: received.values(key) for key in keys} == dict.fromkeys(keys, in_order(30))


async def test_a_topic_without_subscriber_takes_messages(broker: Broker, topic: str):
    assert await broker.publisher.publish(messages(topic, "a", "b")) == [None, None]


async def test_a_message_whose_handler_failed_comes_again_and_before_the_next_of_its_key(
    broker: Broker, topic: str
):
    failures = []

    async def fail_twice(message: Message) -> None:
        if message.key == "bad" and message.value == b"1" and len(failures) < 2:
            failures.append(message)
            raise RuntimeError("the database is away")

    received = Received(fail_twice)

    async with consuming(broker.subscriber(), topic, received):
        await send(broker.publisher, messages(topic, "bad", "good", count=4))
        await until(lambda: len(received.messages) >= 8)

    assert len(failures) == 2
    assert received.values("bad") == in_order(4)
    assert first_times(received.values("good")) == in_order(4)


async def test_a_stuck_key_does_not_hold_up_the_others(broker: Broker, topic: str):
    released = asyncio.Event()

    async def stick(message: Message) -> None:
        if message.key == "stuck" and not released.is_set():
            raise RuntimeError("not yet")

    received = Received(stick)
    others = [f"key-{n}" for n in range(12)]

    async with (
        consuming(broker.subscriber(), topic, received),
        sending(broker.publisher, messages(topic, "stuck", *others, count=3)),
    ):
        # Keys that share the partition of the stuck one may have to wait; most do not.
        await until(lambda: sum(received.values(key) == in_order(3) for key in others) >= 4)
        assert received.values("stuck") == []
        released.set()
        await until(lambda: len(received.messages) >= 39)

    assert received.values("stuck") == in_order(3)


async def test_what_was_not_handled_comes_to_the_next_subscriber(broker: Broker, topic: str):
    async def fail_from_2(message: Message) -> None:
        tried.append(message.value)
        if message.value >= b"2":
            raise RuntimeError("away")

    tried: list[bytes] = []
    before, after = Received(fail_from_2), Received()

    async with sending(broker.publisher, messages(topic, "a", count=5)):
        async with consuming(broker.subscriber(), topic, before):
            await until(lambda: b"2" in tried)
        async with consuming(broker.subscriber(), topic, after):
            await until(lambda: b"4" in after.values())

    assert before.values() == in_order(2)
    assert first_times(after.values())[-3:] == in_order(3, start=2)
    assert b"0" not in after.values(), "what was handled is not handed out again after leaving"


async def test_a_subscriber_resumes_where_it_left(broker: Broker, topic: str):
    first, second = Received(), Received()

    async with consuming(broker.subscriber(), topic, first):
        await send(broker.publisher, messages(topic, "a", count=3))
        await until(lambda: len(first.messages) == 3)
    async with (
        sending(broker.publisher, messages(topic, "a", count=3, start=3)),
        consuming(broker.subscriber(), topic, second),
    ):
        await until(lambda: len(second.messages) == 3)

    assert first.values() == in_order(3)
    assert second.values() == in_order(3, start=3)


async def test_members_of_a_group_share_the_work_and_take_over_from_one_who_leaves(
    broker: Broker, topic: str
):
    keys = [f"key-{n}" for n in range(16)]
    staying, leaving = Received(), Received()
    rounds = 0

    async def send_round() -> None:
        nonlocal rounds
        await send(broker.publisher, messages(topic, *keys, start=rounds))
        rounds += 1

    async with consuming(broker.subscriber(), topic, staying):
        async with consuming(broker.subscriber(), topic, leaving):
            async with asyncio.timeout(DEADLINE_SECONDS):
                while not (staying.messages and leaving.messages):
                    await send_round()
        await send_round()
        await until(lambda: all(b"%d" % (rounds - 1) in staying.values(key) for key in keys))

    for key in keys:
        handled = set(staying.values(key)) | set(leaving.values(key))
        assert handled == set(in_order(rounds)), key


async def test_two_groups_both_get_every_message(broker: Broker, topic: str):
    one, other = Received(), Received()

    async with (
        consuming(broker.subscriber(), topic, one, group="one"),
        consuming(broker.subscriber(), topic, other, group="other"),
    ):
        await send(broker.publisher, messages(topic, "a", "b", count=3))
        await until(lambda: len(one.messages) >= 6 and len(other.messages) >= 6)

    assert one.values("a") == other.values("a") == in_order(3)


async def test_lag_counts_what_is_not_handled_yet(broker: Broker, topic: str):
    released = asyncio.Event()

    async def wait(_: Message) -> None:
        await released.wait()

    received = Received(wait)
    async with (
        consuming(broker.subscriber(), topic, received) as subscriber,
        sending(broker.publisher, messages(topic, "a", count=3)),
    ):
        await until(lambda: sum(subscriber.lag().values()) == 3)
        assert {name for name, _ in subscriber.lag()} == {topic}

        released.set()

        await until(lambda: len(received.messages) == 3 and sum(subscriber.lag().values()) == 0)

    assert subscriber.lag() == {}


async def test_a_message_that_is_too_large_is_refused_and_only_its_key_waits(
    broker: Broker, topic: str
):
    batch = [
        Message(topic, "a", b"1"),
        Message(topic, "b", b"1"),
        Message(topic, "b", TOO_LARGE),
        Message(topic, "b", b"3"),
        Message(topic, "c", b"1"),
    ]

    first, second, large, behind, other = await broker.publisher.publish(batch)

    assert first is second is other is None
    assert isinstance(large, MessageRefused)
    assert isinstance(behind, BrokerUnavailable)
    assert await broker.publisher.publish([batch[3]]) == [None]


async def test_check_and_ensure_topics_may_be_repeated(broker: Broker):
    for _ in range(2):
        await broker.ensure_topics()
        await broker.check()

    assert isinstance(broker, object)


@pytest.mark.parametrize("moment", ["before", "during"])
async def test_a_publisher_that_is_cancelled_can_publish_again(
    broker: Broker, topic: str, moment: str
):
    task = asyncio.create_task(broker.publisher.publish(messages(topic, "a", count=3)))
    await asyncio.sleep(0 if moment == "before" else 0.01)
    task.cancel()
    await asyncio.wait([task])

    assert await broker.publisher.publish(messages(topic, "a", start=3)) == [None]
