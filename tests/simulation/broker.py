"""A broker in memory: partitions that keep order, groups that keep offsets, and every duplicate.

A message may be in the log although its sender was told otherwise, and is delivered again after a
crash, after a partition has moved, or for no reason.
"""

from collections.abc import Sequence
from zlib import crc32

from payment_service.messaging.broker import BrokerUnavailable, Message
from payment_service.workers.consumer import Consumer
from tests.simulation.process import Process, Surrounded

PARTITIONS = 2


class SimulatedBroker:
    """The log of every topic."""

    def __init__(self, world: Surrounded) -> None:
        self.world = world
        self.logs: dict[str, list[list[Message]]] = {}
        self.offsets: dict[tuple[str, int], int] = {}
        self._seen: dict[str, None] = {}

    def partitions(self, topic: str) -> list[list[Message]]:
        """Return the partitions of a topic."""
        return self.logs.setdefault(topic, [[] for _ in range(PARTITIONS)])

    def append(self, message: Message) -> None:
        """Keep a message for good."""
        partition = crc32(message.key.encode()) % PARTITIONS
        self.partitions(message.topic)[partition].append(message)
        name = message.headers["message-id"]
        if name in self._seen:
            self.world.note("a message was published twice")
        self._seen[name] = None

    def waiting(self, topic: str) -> int:
        """Count what the group has not finished."""
        return sum(self.waiting_in(topic, number) for number in range(PARTITIONS))

    def waiting_in(self, topic: str, number: int) -> int:
        """Count what the group has not finished in one partition."""
        return len(self.partitions(topic)[number]) - self.offsets.get((topic, number), 0)


class SimulatedPublisher:
    """The sending half that one process has."""

    def __init__(self, broker: SimulatedBroker, process: Process) -> None:
        self._broker = broker
        self._process = process

    async def publish(self, messages: Sequence[Message]) -> list[Exception | None]:
        """Send all, in order; after a failed message none of its key is sent."""
        world = self._process.world
        swarm, chance = world.swarm, world.chance
        results: list[Exception | None] = []
        failed: dict[tuple[str, str], None] = {}
        for message in messages:
            place = (message.topic, message.key)
            await self._process.step()
            if place in failed:
                results.append(BrokerUnavailable("an earlier message of the key was not sent"))
            elif chance.random() < swarm.publish_failed:
                failed[place] = None
                world.note("the broker did not take a message")
                results.append(BrokerUnavailable("no answer"))
            else:
                self._broker.append(message)
                self._process.last_effect = "a publication"
                if chance.random() < swarm.publish_lost:
                    failed[place] = None
                    world.note("the broker took a message, and the relay does not know")
                    results.append(BrokerUnavailable("no answer"))
                else:
                    results.append(None)
        await self._process.step()
        return results


async def consume(broker: SimulatedBroker, process: Process, consumer: Consumer, topic: str) -> int:
    """Handle what waits in one partition; return how many messages. Progress is kept after each."""
    world = process.world
    numbers = [n for n in range(PARTITIONS) if broker.waiting_in(topic, n)] or range(PARTITIONS)
    number = world.chance.choice(numbers)
    log = broker.partitions(topic)[number]
    offset = broker.offsets.get((topic, number), 0)
    if offset and world.chance.random() < world.swarm.redelivered:
        offset -= 1
        world.note("a message was delivered again")
    handled = 0
    while offset < len(log):
        await process.step()
        await consumer.handle(log[offset])
        process.last_effect = "a handled message"
        await process.step()
        offset += 1
        handled += 1
        # A zombie that comes late must not take the group back: it may, and it does no harm.
        broker.offsets[topic, number] = offset
        process.last_effect = ""
    return handled
