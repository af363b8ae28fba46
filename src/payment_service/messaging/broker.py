"""What the service asks of a message broker."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol


class BrokerUnavailable(Exception):
    """The broker does not answer; whether it has the message is not known."""


class MessageRefused(Exception):
    """The broker will never take this message, for example because it is too large."""


@dataclass(frozen=True, slots=True)
class Message:
    """One record. Messages of one topic and key keep their order."""

    topic: str
    key: str
    value: bytes
    headers: dict[str, str] = field(default_factory=dict)


Handler = Callable[[Message], Awaitable[None]]
"""Returns once the message is dealt with for good; raises if it must be delivered again."""


class Publisher(Protocol):
    """Sends messages."""

    async def publish(self, messages: Sequence[Message]) -> list[Exception | None]:
        """Send all and wait, with a bound, for the broker's word on each.

        Returns:
            One entry per message, in order: None once the broker has it durably, else
            `BrokerUnavailable` or `MessageRefused`. After a failed message no later message of the
            same key is reported as sent.
        """


class Subscriber(Protocol):
    """Receives messages, at least once, in order per key."""

    async def run(self, topics: Sequence[str], group: str, handler: Handler) -> None:
        """Hand every message to `handler` until cancelled; progress is kept after it returned."""

    def lag(self) -> dict[tuple[str, int], int]:
        """Tell, per topic and partition of ours, how many messages wait."""


class Broker(Protocol):
    """A connection to a broker."""

    @property
    def publisher(self) -> Publisher:
        """The sending half."""

    def subscriber(self) -> Subscriber:
        """Make a receiving half."""

    async def ensure_topics(self) -> None:
        """Create the topics that are missing, with their partitions and retention."""

    async def find_faults(self) -> list[str]:
        """Say what is wrong with the topics: missing, too few partitions, too short a memory.

        Raises:
            BrokerUnavailable: It does not answer.
        """

    async def check(self) -> None:
        """Return if the broker answers within a second or two.

        Raises:
            BrokerUnavailable: It does not.
        """


OpenBroker = Callable[[], AbstractAsyncContextManager[Broker]]
