"""Sends to Kafka: idempotent, acknowledged by all replicas, and never waiting without an end.

An idempotent aiokafka producer neither gives up on a batch nor lets itself be stopped while the
broker is away, and after some errors it stays broken (aiokafka issue 1017). So each wait is bounded
here, and a producer in doubt is abandoned and replaced. What it had under way may still arrive: a
message may come twice, it is never lost.
"""

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from payment_service.messaging.bounded import ends_within
from payment_service.messaging.broker import BrokerUnavailable, Message, MessageRefused
from payment_service.messaging.kafka_settings import KafkaSettings
from payment_service.messaging.kafka_troubles import TROUBLES
from payment_service.telemetry.logging import get_logger

log = get_logger(__name__)

PUBLISH_TIMEOUT_SECONDS = 10.0
STOP_TIMEOUT_SECONDS = 5.0
CANCELLATION_SECONDS = 1.0
CANCELLATIONS_MAX = 5
REQUEST_TIMEOUT_MS = 8_000
LINGER_MS = 2
BATCH_BYTES_MAX = 262_144
MESSAGE_BYTES_MAX = 1_000_000  # a little less than what brokers take by default


class KafkaPublisher:
    """The sending half. One `publish` at a time, so that messages of one key keep their order."""

    def __init__(self, settings: KafkaSettings, client_id: str) -> None:
        self._settings = settings
        self._client_id = client_id
        self._producer: AIOKafkaProducer | None = None
        self._turn = asyncio.Lock()
        self._under_way: set[asyncio.Task[list[Exception | None]]] = set()
        self._one_by_one = False

    async def publish(self, messages: Sequence[Message]) -> list[Exception | None]:
        """Send all; see `broker.Publisher`. Takes at most 20 seconds, of which 10 to give up.

        The work goes on when the caller is cancelled: a message that is under way arrives anyway,
        and half a publication would leave the producer in doubt.
        """
        if not messages:
            return []
        task = asyncio.create_task(self._publish(messages))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Finish what is under way and disconnect, within some seconds."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=PUBLISH_TIMEOUT_SECONDS)
        producer, self._producer = self._producer, None
        if producer is None or await ends_within(STOP_TIMEOUT_SECONDS, producer.stop()):
            return
        await _abandon(producer)

    async def _publish(self, messages: Sequence[Message]) -> list[Exception | None]:
        async with self._turn:
            one_by_one, self._one_by_one = self._one_by_one, False
            sending = _Sending(messages, one_by_one=one_by_one)
            try:
                async with asyncio.timeout(PUBLISH_TIMEOUT_SECONDS):
                    producer = await self._connect(one_by_one=one_by_one)
                    await sending.run(producer)
            except TROUBLES as error:
                sending.trouble = error
            results = sending.results()
            self._one_by_one = sending.one_is_too_large and not one_by_one
            if sending.is_in_doubt(results) or one_by_one:
                await self._replace()
            return results

    async def _connect(self, *, one_by_one: bool) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                **self._settings.client_options(),
                client_id=self._client_id,
                acks="all",
                enable_idempotence=True,
                linger_ms=0 if one_by_one else LINGER_MS,
                max_batch_size=1 if one_by_one else BATCH_BYTES_MAX,
                max_request_size=MESSAGE_BYTES_MAX,
                request_timeout_ms=REQUEST_TIMEOUT_MS,
            )
            try:
                await producer.start()
            except BaseException:
                await _abandon(producer)
                raise
            self._producer = producer
        return self._producer

    async def _replace(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            log.warning("kafka.producer_replaced")
            await _abandon(producer)


class _Sending:
    """One publication: which message stands where."""

    def __init__(self, messages: Sequence[Message], *, one_by_one: bool) -> None:
        self.trouble: Exception = TimeoutError()
        self.one_is_too_large = False
        self._messages = messages
        self._one_by_one = one_by_one
        self._sent: list[asyncio.Future[object] | MessageRefused | None] = [None] * len(messages)

    async def run(self, producer: AIOKafkaProducer) -> None:
        """Send all and wait for the broker's word on each."""
        refused: set[tuple[str, str]] = set()
        for place, message in enumerate(self._messages):
            if (message.topic, message.key) in refused:
                continue
            try:
                future = await producer.send(
                    message.topic,
                    message.value,
                    key=message.key.encode(),
                    headers=[(name, text.encode()) for name, text in message.headers.items()],
                )
            except MessageSizeTooLargeError:
                refused.add((message.topic, message.key))
                self._sent[place] = _too_large()
            else:
                future.add_done_callback(_look)
                self._sent[place] = future
        futures = [sent for sent in self._sent if isinstance(sent, asyncio.Future)]
        if futures:
            await asyncio.wait(futures)

    def results(self) -> list[Exception | None]:
        """Tell what became of each message; after a failed one, none of its key was sent."""
        failed: set[tuple[str, str]] = set()
        results: list[Exception | None] = []
        for message, sent in zip(self._messages, self._sent, strict=True):
            result = self._result(sent)
            if (message.topic, message.key) in failed:
                result = BrokerUnavailable("an earlier message of the key was not sent")
            if result is not None:
                failed.add((message.topic, message.key))
            results.append(result)
        return results

    def is_in_doubt(self, results: Sequence[Exception | None]) -> bool:
        """Tell whether the producer may still hold messages, or be broken."""
        return any(
            isinstance(result, BrokerUnavailable) and sent is not None
            for result, sent in zip(results, self._sent, strict=True)
        ) or not all(
            sent is None or isinstance(sent, MessageRefused) or sent.done() for sent in self._sent
        )

    def _result(self, sent: "asyncio.Future[object] | MessageRefused | None") -> Exception | None:
        if isinstance(sent, MessageRefused):
            return sent
        error: BaseException | None = self.trouble
        if sent is not None and sent.done():
            error = asyncio.CancelledError() if sent.cancelled() else sent.exception()
        if error is None:
            return None
        if isinstance(error, MessageSizeTooLargeError):
            # The broker refuses whole batches: only a batch of one tells which message it is.
            self.one_is_too_large = True
            if self._one_by_one:
                return _too_large()
        down = BrokerUnavailable(f"Kafka did not take it: {type(error).__name__}")
        down.__cause__ = error
        return down


def _too_large() -> MessageRefused:
    return MessageRefused("larger than the broker takes")


def _look(future: "asyncio.Future[object]") -> None:
    """Look at the outcome, so that an abandoned one is not reported as forgotten."""
    if not future.cancelled():
        future.exception()


async def _abandon(producer: AIOKafkaProducer) -> None:
    """Stop a producer without sending what is left: that would arrive later, out of order.

    aiokafka has no such method, hence the two private names: its own `stop` waits until everything
    is delivered, and its task would try for ever.
    """
    producer._closed = True  # noqa: SLF001
    sender = producer._sender.sender_task  # noqa: SLF001
    if sender is not None:
        sender.cancel()
    is_closed = await ends_within(STOP_TIMEOUT_SECONDS, producer.client.close())
    is_left = sender is not None and not await _cancelled(sender)
    if is_left or not is_closed:
        log.warning("kafka.producer_left_behind")


async def _cancelled(sender: "asyncio.Task[None]") -> bool:
    """Wait for the end of a producer's task, which takes one cancellation per request it awaits."""
    for _ in range(CANCELLATIONS_MAX):
        await asyncio.wait([sender], timeout=CANCELLATION_SECONDS)
        if sender.done():
            return True
        sender.cancel()
    return False
