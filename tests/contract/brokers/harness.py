"""What the brokers' tests share: a recording handler, and a sender that insists like the relay."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from payment_service.messaging.broker import (
    BrokerUnavailable,
    Handler,
    Message,
    Publisher,
    Subscriber,
)

DEADLINE_SECONDS = 90.0  # for slow machines; nothing waits longer than it must
POLL_SECONDS = 0.05


class Received:
    """A handler that notes every message, after `before` let it pass."""

    def __init__(self, before: Handler | None = None) -> None:
        self.messages: list[Message] = []
        self._before = before

    async def __call__(self, message: Message) -> None:
        if self._before is not None:
            await self._before(message)
        self.messages.append(message)

    def values(self, key: str | None = None) -> list[bytes]:
        """Return the values in the order of their handling, of one key or of all."""
        return [message.value for message in self.messages if key in {None, message.key}]


def messages(topic: str, *keys: str, count: int = 1, start: int = 0) -> list[Message]:
    """Make `count` messages for each key, numbered from `start`, the keys interleaved."""
    return [
        Message(topic, key, b"%d" % number, {"message-id": f"{key}-{number}"})
        for number in range(start, start + count)
        for key in keys
    ]


async def until(condition: Callable[[], bool], *, seconds: float = DEADLINE_SECONDS) -> None:
    """Wait for a condition; fail when it does not come true in time."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # what is watched lives in other clients
            await asyncio.sleep(POLL_SECONDS)


@asynccontextmanager
async def consuming(
    subscriber: Subscriber, topic: str, handler: Handler, *, group: str = "group"
) -> AsyncIterator[Subscriber]:
    """Run a subscriber during a block; leave its group at the end."""
    task = asyncio.create_task(subscriber.run([topic], group, handler))
    await asyncio.sleep(0)  # one step: a broker in this process knows it from here on
    try:
        yield subscriber
    finally:
        task.cancel()
        _, late = await asyncio.wait([task], timeout=DEADLINE_SECONDS)
        assert not late, "the subscriber did not stop"
        assert task.cancelled(), f"the subscriber died: {task.exception()!r}"


async def send(publisher: Publisher, batch: Sequence[Message]) -> None:
    """Publish until the broker has taken all, in order, as the relay does."""
    left = list(batch)
    async with asyncio.timeout(DEADLINE_SECONDS):
        while left:
            results = await publisher.publish(left)
            assert all(
                result is None or isinstance(result, BrokerUnavailable) for result in results
            )
            left = [m for m, result in zip(left, results, strict=True) if result is not None]
            await asyncio.sleep(POLL_SECONDS if left else 0)


@asynccontextmanager
async def sending(publisher: Publisher, batch: Sequence[Message]) -> AsyncIterator[None]:
    """Send beside a block; at its end, all must be sent."""
    async with asyncio.TaskGroup() as group:
        group.create_task(send(publisher, batch))
        yield


def first_times(values: Sequence[bytes]) -> list[bytes]:
    """Drop what came before: at least once means that a message may come again."""
    return list(dict.fromkeys(values))
