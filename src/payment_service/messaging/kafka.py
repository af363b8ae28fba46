"""Kafka behind the broker interface: delivery settings, rebalances, offsets.

Source of the workarounds: an idempotent aiokafka producer never gives up on a batch (aiokafka
issue 1017), so every wait is bounded and a producer in doubt is thrown away.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    CommitFailedError,
    KafkaError,
    MessageSizeTooLargeError,
    TopicAlreadyExistsError,
)

from payment_service.messaging.broker import (
    BrokerUnavailable,
    Handler,
    Message,
    MessageRefused,
)
from payment_service.messaging.topics import TOPICS
from payment_service.telemetry.logging import get_logger

log = get_logger(__name__)

PUBLISH_TIMEOUT_SECONDS = 15
STOP_TIMEOUT_SECONDS = 5
CHECK_TIMEOUT_SECONDS = 2
RECONNECT_DELAY_SECONDS = 1.0
RETRY_DELAY_SECONDS = 1.0
POLL_TIMEOUT_MS = 500
BATCH_MAX = 200
CONCURRENT_PARTITIONS_MAX = 16


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """How to reach Kafka, read from `kafka://[user:password@]host:port,host:port[?options]`."""

    bootstrap_servers: str
    partitions: int = 6
    replication_factor: int = 1
    security: dict[str, object] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, url: str) -> "KafkaSettings":
        """Read a broker URL.

        Raises:
            ValueError: An option is unknown or has no number.
        """
        rest = url.removeprefix("kafka://")
        authority, _, query = rest.partition("?")
        credentials, _, servers = authority.rpartition("@")
        options = dict(parse_qsl(query, strict_parsing=bool(query)))
        known = {"partitions", "replication_factor", "security_protocol", "sasl_mechanism",
                 "ssl_cafile"}  # fmt: skip
        unknown = sorted(set(options) - known)
        if unknown or not urlsplit(f"kafka://{servers}").netloc:
            raise ValueError(f"a Kafka URL needs servers and knows no {', '.join(unknown) or '?'}")
        return cls(
            bootstrap_servers=servers.rstrip("/"),
            partitions=int(options.get("partitions", 6)),
            replication_factor=int(options.get("replication_factor", 1)),
            security=_security(credentials, options),
        )


def _security(credentials: str, options: dict[str, str]) -> dict[str, object]:
    protocol = options.get("security_protocol", "SASL_SSL" if credentials else "PLAINTEXT")
    security: dict[str, object] = {"security_protocol": protocol}
    if protocol.endswith("SSL"):
        security["ssl_context"] = ssl.create_default_context(cafile=options.get("ssl_cafile"))
    if protocol.startswith("SASL"):
        user, _, password = credentials.partition(":")
        security |= {
            "sasl_mechanism": options.get("sasl_mechanism", "SCRAM-SHA-512"),
            "sasl_plain_username": unquote(user),
            "sasl_plain_password": unquote(password),
        }
    return security


class KafkaPublisher:
    """Sends with acks from all replicas. After any doubt the producer is replaced."""

    def __init__(self, settings: KafkaSettings, client_id: str) -> None:
        self._settings = settings
        self._client_id = client_id
        self._producer: AIOKafkaProducer | None = None
        self._lock = asyncio.Lock()

    async def publish(self, messages: Sequence[Message]) -> list[Exception | None]:
        """Send all; see `broker.Publisher`."""
        async with self._lock:
            try:
                async with asyncio.timeout(PUBLISH_TIMEOUT_SECONDS):
                    producer = await self._connected()
                    return await self._send(producer, messages)
            except (KafkaError, OSError, TimeoutError) as error:
                await self.close()
                down = BrokerUnavailable(f"Kafka does not answer: {type(error).__name__}")
                return [down] * len(messages)

    async def _send(
        self, producer: AIOKafkaProducer, messages: Sequence[Message]
    ) -> list[Exception | None]:
        sent: list[asyncio.Future[object] | Exception] = []
        refused: set[tuple[str, str]] = set()
        for message in messages:
            if (message.topic, message.key) in refused:
                sent.append(BrokerUnavailable("an earlier message of the key was refused"))
                continue
            try:
                sent.append(
                    await producer.send(
                        message.topic,
                        message.value,
                        key=message.key.encode(),
                        headers=[(name, text.encode()) for name, text in message.headers.items()],
                    )
                )
            except MessageSizeTooLargeError:
                refused.add((message.topic, message.key))
                sent.append(MessageRefused("larger than the broker takes"))
        results: list[Exception | None] = []
        for outcome in sent:
            if isinstance(outcome, Exception):
                results.append(outcome)
            else:
                await outcome  # an error here leaves all in doubt: the caller reports it so
                results.append(None)
        return results

    async def _connected(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._settings.bootstrap_servers,
                client_id=self._client_id,
                acks="all",
                enable_idempotence=True,
                linger_ms=2,
                max_batch_size=262_144,
                request_timeout_ms=10_000,
                **self._settings.security,
            )
            try:
                await producer.start()
            except BaseException:
                await _stop(producer)
                raise
            self._producer = producer
        return self._producer

    async def close(self) -> None:
        """Drop the producer; what it had not sent is sent again by the next one."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stop(producer)


async def _stop(client: AIOKafkaProducer | AIOKafkaConsumer) -> None:
    try:
        async with asyncio.timeout(STOP_TIMEOUT_SECONDS):
            await client.stop()
    except (KafkaError, OSError, TimeoutError) as error:
        log.warning("kafka.stop_failed", error=type(error).__name__)


class KafkaSubscriber:
    """Receives as a member of a group; offsets are committed after the handler returned.

    Partitions are worked on side by side, each in order. A handler that raises makes its partition
    start again at that message after a pause, while the others go on.
    """

    def __init__(self, settings: KafkaSettings, client_id: str) -> None:
        self._settings = settings
        self._client_id = client_id
        self._lag: dict[tuple[str, int], int] = {}

    def lag(self) -> dict[tuple[str, int], int]:
        """Tell how many messages wait, per topic and partition of ours."""
        return dict(self._lag)

    async def run(self, topics: Sequence[str], group: str, handler: Handler) -> None:
        """Receive until cancelled; a broker that is away is waited for."""
        while True:
            try:
                await self._session(topics, group, handler)
            except (KafkaError, OSError) as error:
                log.warning("kafka.consumer_reconnects", error=type(error).__name__)
                await asyncio.sleep(RECONNECT_DELAY_SECONDS)

    async def _session(self, topics: Sequence[str], group: str, handler: Handler) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.bootstrap_servers,
            client_id=self._client_id,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=BATCH_MAX,
            session_timeout_ms=15_000,
            heartbeat_interval_ms=3_000,
            metadata_max_age_ms=10_000,
            **self._settings.security,
        )
        lanes = _Lanes(consumer, handler)
        try:
            await consumer.start()
            consumer.subscribe(list(topics), listener=lanes)
            while True:
                batches = await consumer.getmany(timeout_ms=POLL_TIMEOUT_MS, max_records=BATCH_MAX)
                await lanes.work(batches)
                await self._measure(consumer)
        finally:
            await _stop(consumer)

    async def _measure(self, consumer: AIOKafkaConsumer) -> None:
        self._lag = {}
        for partition in consumer.assignment():
            high = consumer.highwater(partition)
            if high is not None:
                position = await consumer.position(partition)
                self._lag[partition.topic, partition.partition] = max(0, high - position)


class _Lanes(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is not typed
    """Works on batches, one lane a partition; a rebalance waits until the lanes are done."""

    def __init__(self, consumer: AIOKafkaConsumer, handler: Handler) -> None:
        self._consumer = consumer
        self._handler = handler
        self._turn = asyncio.Semaphore(CONCURRENT_PARTITIONS_MAX)
        self._idle = asyncio.Event()
        self._idle.set()

    async def on_partitions_revoked(self, revoked: object) -> None:
        """Let the work in hand finish, so that its offsets are committed."""
        await self._idle.wait()

    async def on_partitions_assigned(self, assigned: object) -> None:
        """Nothing to prepare: positions are the committed ones."""

    async def work(self, batches: dict[TopicPartition, list[object]]) -> None:
        """Handle what was received and commit how far each partition came."""
        if not batches:
            return
        self._idle.clear()
        try:
            done = await asyncio.gather(*(self._lane(p, rows) for p, rows in batches.items()))
            offsets = {partition: offset for partition, offset in done if offset is not None}
            if offsets:
                await self._consumer.commit(offsets)
        except CommitFailedError:
            log.warning("kafka.commit_lost")  # the partitions moved on: handled again, harmlessly
        finally:
            self._idle.set()

    async def _lane(
        self, partition: TopicPartition, records: list[object]
    ) -> tuple[TopicPartition, int | None]:
        reached: int | None = None
        async with self._turn:
            for record in records:
                try:
                    await self._handler(_message(record))
                except Exception as error:  # noqa: BLE001  # not handled: it must come again
                    log.warning("kafka.handler_failed", error=type(error).__name__)
                    self._consumer.seek(partition, record.offset)  # type: ignore[attr-defined]
                    await asyncio.sleep(RETRY_DELAY_SECONDS)
                    break
                reached = record.offset + 1  # type: ignore[attr-defined]  # a ConsumerRecord
        return partition, reached


def _message(record: object) -> Message:
    return Message(
        topic=record.topic,  # type: ignore[attr-defined]  # a ConsumerRecord
        key=(record.key or b"").decode(errors="replace"),  # type: ignore[attr-defined]
        value=record.value or b"",  # type: ignore[attr-defined]
        headers={name: text.decode(errors="replace") for name, text in record.headers},  # type: ignore[attr-defined]
    )


class KafkaBroker:
    """A connection to Kafka."""

    def __init__(self, settings: KafkaSettings, client_id: str) -> None:
        self._settings = settings
        self._client_id = client_id
        self._publisher = KafkaPublisher(settings, client_id)

    @property
    def publisher(self) -> KafkaPublisher:
        """The sending half."""
        return self._publisher

    def subscriber(self) -> KafkaSubscriber:
        """Make a receiving half."""
        return KafkaSubscriber(self._settings, self._client_id)

    async def ensure_topics(self) -> None:
        """Create the topics that are missing."""
        admin = self._admin()
        try:
            await admin.start()
            existing = set(await admin.list_topics())
            missing = [
                NewTopic(
                    name=topic.name,
                    num_partitions=self._settings.partitions,
                    replication_factor=self._settings.replication_factor,
                    topic_configs={
                        "retention.ms": str(int(topic.retention.total_seconds() * 1000))
                    },
                )
                for topic in TOPICS
                if topic.name not in existing
            ]
            if missing:
                await admin.create_topics(missing)
        except TopicAlreadyExistsError:
            pass  # somebody was faster
        except (KafkaError, OSError) as error:
            raise BrokerUnavailable(f"Kafka does not answer: {type(error).__name__}") from error
        finally:
            await admin.close()

    async def check(self) -> None:
        """Return if Kafka answers."""
        admin = self._admin()
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
                await admin.start()
                await admin.list_topics()
        except (KafkaError, OSError, TimeoutError) as error:
            raise BrokerUnavailable(f"Kafka does not answer: {type(error).__name__}") from error
        finally:
            await admin.close()

    def _admin(self) -> AIOKafkaAdminClient:
        return AIOKafkaAdminClient(
            bootstrap_servers=self._settings.bootstrap_servers,
            client_id=self._client_id,
            request_timeout_ms=5_000,
            **self._settings.security,
        )


@asynccontextmanager
async def open_kafka(url: str, *, client_id: str) -> AsyncIterator[KafkaBroker]:
    """Open Kafka; nothing is sent before it is needed, so it may still be down."""
    broker = KafkaBroker(KafkaSettings.parse(url), client_id)
    try:
        yield broker
    finally:
        await broker.publisher.close()
