"""A broker in this process: `publish` returns when the subscriber has handled the message.

So the outbox stays the only durable queue: what was not handled is not published, and the relay
sends it again, also after a restart.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from zlib import crc32

from payment_service.messaging.broker import (
    BrokerUnavailable,
    Handler,
    Message,
    MessageRefused,
)

KEPT_MAX = 1000  # messages kept for inspection
MESSAGE_BYTES_MAX = 1024 * 1024  # as Kafka's own default
CONCURRENT_KEYS_MAX = 16
STRIPES = 64  # keys of one stripe wait for each other
HANDLER_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True, eq=False)
class _Member:
    """One running subscriber; members of one group share the keys of a topic."""

    handler: Handler


class MemoryBroker:
    """Publisher and broker in one. Everything happens in the loop that publishes."""

    def __init__(self) -> None:
        self.published: deque[Message] = deque(maxlen=KEPT_MAX)
        self._groups: dict[str, dict[str, list[_Member]]] = {}  # by topic, by group
        self._waiting: Counter[str] = Counter()
        self._turn = asyncio.Semaphore(CONCURRENT_KEYS_MAX)
        self._order = tuple(asyncio.Lock() for _ in range(STRIPES))

    @property
    def publisher(self) -> "MemoryBroker":
        """The sending half."""
        return self

    def subscriber(self) -> "MemorySubscriber":
        """Make a receiving half."""
        return MemorySubscriber(self)

    async def ensure_topics(self) -> None:
        """Topics need no making here."""

    async def find_faults(self) -> list[str]:
        """Nothing can be wrong with topics that need no making."""
        return []

    async def check(self) -> None:
        """It is always there."""

    async def publish(self, messages: Sequence[Message]) -> list[Exception | None]:
        """Hand each message to its subscribers; see `broker.Publisher`.

        A topic that nobody has ever subscribed to takes its messages at once: they are only kept
        for inspection. A topic whose subscriber has left takes none until it is back, because what
        it would take would be lost.
        """
        results: list[Exception | None] = [None] * len(messages)
        places: dict[tuple[str, str], list[int]] = {}
        for place, message in enumerate(messages):
            places.setdefault((message.topic, message.key), []).append(place)
            self._waiting[message.topic] += 1
        try:
            async with asyncio.TaskGroup() as group:
                for mine in places.values():
                    group.create_task(self._publish_key(messages, mine, results))
        finally:
            for message in messages:
                self._waiting[message.topic] -= 1
        return results

    def lag_of(self, topics: Sequence[str]) -> dict[tuple[str, int], int]:
        """Tell how many messages of each topic are being published and not yet handled."""
        return {(topic, 0): self._waiting[topic] for topic in topics}

    def join(self, topics: Sequence[str], group: str, member: _Member) -> None:
        """Let a member receive its share of some topics."""
        for topic in topics:
            self._groups.setdefault(topic, {}).setdefault(group, []).append(member)

    def leave(self, topics: Sequence[str], group: str, member: _Member) -> None:
        """Give a member's share to the others of its group."""
        for topic in topics:
            self._groups[topic][group].remove(member)

    async def _publish_key(
        self, messages: Sequence[Message], places: list[int], results: list[Exception | None]
    ) -> None:
        first = messages[places[0]]
        order = self._order[crc32(first.key.encode()) % STRIPES]
        async with order, self._turn:  # in this order: whoever waits for a key takes no turn
            error: Exception | None = None
            for place in places:
                if error is not None:
                    results[place] = BrokerUnavailable("an earlier message of the key was not sent")
                    continue
                results[place] = error = await self._deliver(messages[place])

    async def _deliver(self, message: Message) -> Exception | None:
        if len(message.value) > MESSAGE_BYTES_MAX:
            return MessageRefused(f"larger than {MESSAGE_BYTES_MAX} bytes")
        for members in self._groups.get(message.topic, {}).values():
            if not members:
                return BrokerUnavailable("the subscriber has left")
            member = members[crc32(message.key.encode()) % len(members)]
            try:
                async with asyncio.timeout(HANDLER_TIMEOUT_SECONDS):
                    await member.handler(message)
            except Exception as error:  # noqa: BLE001  # whatever it was: not handled, so not sent
                return _not_handled(error)
        self.published.append(message)
        return None


class MemorySubscriber:
    """The receiving half."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._topics: tuple[str, ...] = ()

    async def run(self, topics: Sequence[str], group: str, handler: Handler) -> None:
        """Receive our share of the messages of some topics until cancelled."""
        member = _Member(handler)
        self._topics = tuple(topics)
        self._broker.join(topics, group, member)
        try:
            await asyncio.Event().wait()
        finally:
            self._broker.leave(topics, group, member)
            self._topics = ()

    def lag(self) -> dict[tuple[str, int], int]:
        """Tell how many messages wait, per topic; there is one partition, 0."""
        return self._broker.lag_of(self._topics)


def _not_handled(error: Exception) -> BrokerUnavailable:
    down = BrokerUnavailable(f"the handler failed: {type(error).__name__}")
    down.__cause__ = error
    return down


@asynccontextmanager
async def open_memory() -> AsyncIterator[MemoryBroker]:
    """Open a broker in this process."""
    yield MemoryBroker()
