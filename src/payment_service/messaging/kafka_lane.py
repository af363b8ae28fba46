"""One partition of a topic: its messages are handled one after the other.

A handler that raises makes the lane wait and begin again at that message. Other lanes go on.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from payment_service.messaging.broker import Handler, Message
from payment_service.telemetry.logging import get_logger

log = get_logger(__name__)

POLL_TIMEOUT_MS = 1_000
RECORDS_MAX = 200  # taken from the client's buffer at a time
RETRY_SECONDS = (0.2, 15.0)  # the first and the longest pause; doubled each time
HANDLER_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 10.0
LAG_TIMEOUT_SECONDS = 0.2


class Lane:
    """One partition.

    Args:
        consumer: Where messages come from.
        partition: Which ones are ours.
        handler: Deals with one message.
        turn: Bounds the handlers at work in all lanes.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        partition: TopicPartition,
        handler: Handler,
        turn: asyncio.Semaphore,
    ) -> None:
        self.partition = partition
        self.next_offset = -1  # of the first message that is not handled; -1 until we know
        self._committed = -1
        self._consumer = consumer
        self._handler = handler
        self._turn = turn
        self._failures = 0
        self._is_handling = False
        self._is_stopping = False
        self._task: asyncio.Task[None] | None = None

    @property
    def is_ahead(self) -> bool:
        """Whether more is handled than committed."""
        return self.next_offset > self._committed

    def committed(self, offset: int) -> None:
        """Note that an offset was committed."""
        self._committed = max(self._committed, offset)

    def start(self, report: Callable[[BaseException], None]) -> None:
        """Begin; `report` is told if the lane ends without being stopped."""

        def on_end(task: asyncio.Task[None]) -> None:
            if not self._is_stopping:
                error = None if task.cancelled() else task.exception()
                report(error or KafkaError("a lane ended by itself"))

        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(on_end)

    async def stop(self) -> None:
        """Finish the message in hand, if any, within some seconds."""
        self._is_stopping = True
        task = self._task
        if task is None:
            return
        if not self._is_handling:
            task.cancel()
        _, late = await asyncio.wait([task], timeout=STOP_TIMEOUT_SECONDS)
        if late:
            log.warning("kafka.handler_cancelled", topic=self.partition.topic)
            task.cancel()
            await asyncio.wait([task], timeout=STOP_TIMEOUT_SECONDS)
        if task.done() and not task.cancelled():
            task.exception()

    async def lag(self) -> int | None:
        """Return how many messages are not handled; None while nothing is known."""
        high = self._consumer.highwater(self.partition)
        if high is None:
            return None
        position = self.next_offset
        if position < 0:
            try:
                async with asyncio.timeout(LAG_TIMEOUT_SECONDS):
                    position = await self._consumer.position(self.partition)
            except (KafkaError, TimeoutError):
                return None
        return max(0, int(high) - position)

    async def _run(self) -> None:
        while not self._is_stopping:
            batches = await self._consumer.getmany(
                self.partition, timeout_ms=POLL_TIMEOUT_MS, max_records=RECORDS_MAX
            )
            for record in batches.get(self.partition, ()):
                if self.next_offset < 0:
                    self.next_offset = self._committed = record.offset
                if not await self._handle(record):
                    await self._begin_again_at(record.offset)
                    break
                self.next_offset = record.offset + 1
                if self._is_stopping:
                    break

    async def _handle(self, record: Any) -> bool:
        async with self._turn:
            self._is_handling = True
            try:
                async with asyncio.timeout(HANDLER_TIMEOUT_SECONDS):
                    await self._handler(_message(record))
            except Exception as error:  # noqa: BLE001  # whatever it was: it must come again
                self._failures += 1
                log.warning(
                    "kafka.handler_failed",
                    topic=self.partition.topic,
                    partition=self.partition.partition,
                    offset=record.offset,
                    failures=self._failures,
                    error=type(error).__name__,
                )
                return False
            finally:
                self._is_handling = False
        self._failures = 0
        return True

    async def _begin_again_at(self, offset: int) -> None:
        if self._is_stopping:
            return
        first_pause, longest_pause = RETRY_SECONDS
        self._consumer.seek(self.partition, offset)
        self._consumer.pause(self.partition)
        await asyncio.sleep(min(longest_pause, first_pause * 2 ** min(self._failures - 1, 10)))
        self._consumer.resume(self.partition)


def _message(record: Any) -> Message:
    return Message(
        topic=record.topic,
        key=(record.key or b"").decode(errors="replace"),
        value=record.value or b"",
        headers={name: (text or b"").decode(errors="replace") for name, text in record.headers},
    )
