"""A broker in this process: `publish` returns when the subscriber has handled the message.

So the outbox stays the only durable queue: what was not handled is not published, and the relay
sends it again after a restart.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from payment_service.messaging.broker import (
    BrokerUnavailable,
    Handler,
    Message,
    MessageRefused,
)

KEPT_MAX = 1000  # messages kept for inspection
MESSAGE_BYTES_MAX = 1024 * 1024


class MemoryBroker:
    """Publisher, subscriber and broker in one."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}
        self.published: deque[Message] = deque(maxlen=KEPT_MAX)

    @property
    def publisher(self) -> "MemoryBroker":
        """The sending half."""
        return self

    def subscriber(self) -> "MemoryBroker":
        """The receiving half."""
        return self

    async def ensure_topics(self) -> None:
        """Topics need no making here."""

    async def check(self) -> None:
        """It is always there."""

    async def publish(self, messages: Sequence[Message]) -> list[Exception | None]:
        """Hand each message to its subscriber; without one it is only kept for inspection."""
        results: list[Exception | None] = []
        failed: set[tuple[str, str]] = set()
        for message in messages:
            result = await self._publish(message, failed)
            if result is not None:
                failed.add((message.topic, message.key))
            results.append(result)
        return results

    async def _publish(self, message: Message, failed: set[tuple[str, str]]) -> Exception | None:
        if (message.topic, message.key) in failed:
            return BrokerUnavailable("an earlier message of the key failed")
        if len(message.value) > MESSAGE_BYTES_MAX:
            return MessageRefused(f"larger than {MESSAGE_BYTES_MAX} bytes")
        handler = self._handlers.get(message.topic)
        if handler is not None:
            try:
                await handler(message)
            except Exception as error:  # noqa: BLE001  # whatever it was: not handled, so not sent
                return BrokerUnavailable(f"the handler failed: {type(error).__name__}")
        self.published.append(message)
        return None

    async def run(self, topics: Sequence[str], group: str, handler: Handler) -> None:
        """Receive the messages of some topics until cancelled."""
        for topic in topics:
            self._handlers[topic] = handler
        try:
            await asyncio.Event().wait()
        finally:
            for topic in topics:
                self._handlers.pop(topic, None)

    def lag(self) -> dict[tuple[str, int], int]:
        """Nothing ever waits here."""
        return {}


@asynccontextmanager
async def open_memory() -> AsyncIterator[MemoryBroker]:
    """Open a broker in this process."""
    yield MemoryBroker()
