"""What only the broker in this process promises: publish returns when the handler has."""

import asyncio

import pytest

from payment_service.messaging import memory
from payment_service.messaging.broker import BrokerUnavailable, Message
from payment_service.messaging.memory import MemoryBroker, open_memory
from tests.contract.brokers.harness import Received, consuming, messages

TOPIC = "topic"


@pytest.fixture
async def local():
    async with open_memory() as broker:
        yield broker


async def test_publish_returns_only_when_the_handler_has(local: MemoryBroker):
    entered, released = asyncio.Event(), asyncio.Event()

    async def wait(_: Message) -> None:
        entered.set()
        await released.wait()

    async with consuming(local.subscriber(), TOPIC, wait):
        publishing = asyncio.create_task(local.publish(messages(TOPIC, "a")))
        await entered.wait()
        assert not publishing.done()

        released.set()

        assert await publishing == [None]


async def test_the_error_of_a_handler_is_the_cause_of_the_result(local: MemoryBroker):
    fault = RuntimeError("secret detail")

    async def fail(_: Message) -> None:
        raise fault

    async with consuming(local.subscriber(), TOPIC, fail):
        failed, behind = await local.publish(messages(TOPIC, "a", count=2))

    assert isinstance(failed, BrokerUnavailable)
    assert failed.__cause__ is fault
    assert "secret" not in str(failed)
    assert isinstance(behind, BrokerUnavailable)


async def test_a_handler_that_never_returns_is_given_up(
    local: MemoryBroker, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(memory, "HANDLER_TIMEOUT_SECONDS", 0.02)

    async def hang(_: Message) -> None:
        await asyncio.Event().wait()

    async with consuming(local.subscriber(), TOPIC, hang):
        (result,) = await local.publish(messages(TOPIC, "a"))

    assert isinstance(result, BrokerUnavailable)


async def test_a_topic_whose_subscriber_left_takes_nothing_until_it_is_back(local: MemoryBroker):
    received = Received()
    async with consuming(local.subscriber(), TOPIC, received):
        pass

    (away,) = await local.publish(messages(TOPIC, "a"))
    async with consuming(local.subscriber(), TOPIC, received):
        (back,) = await local.publish(messages(TOPIC, "a"))

    assert isinstance(away, BrokerUnavailable)
    assert back is None
    assert received.values() == [b"0"]


async def test_what_was_published_can_be_looked_at_and_is_bounded(local: MemoryBroker):
    await local.publish(messages(TOPIC, "a", count=memory.KEPT_MAX + 5))

    assert len(local.published) == memory.KEPT_MAX
    assert local.published[-1].value == b"%d" % (memory.KEPT_MAX + 4)


async def test_handlers_of_different_keys_work_side_by_side_within_a_bound(local: MemoryBroker):
    at_once = most = 0

    async def count(_: Message) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.001)
        at_once -= 1

    async with consuming(local.subscriber(), TOPIC, count):
        await local.publish(messages(TOPIC, *(f"key-{n}" for n in range(60))))

    assert 1 < most <= memory.CONCURRENT_KEYS_MAX
