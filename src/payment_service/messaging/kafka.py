"""Kafka behind the broker interface: topics and readiness; see its two halves beside this file."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from payment_service.messaging.bounded import ends_within
from payment_service.messaging.broker import BrokerUnavailable
from payment_service.messaging.kafka_publisher import KafkaPublisher
from payment_service.messaging.kafka_settings import KafkaSettings
from payment_service.messaging.kafka_subscriber import KafkaSubscriber
from payment_service.messaging.kafka_troubles import TROUBLES
from payment_service.messaging.topics import TOPICS, Topic

CHECK_TIMEOUT_SECONDS = 2.0
CREATE_TIMEOUT_SECONDS = 20.0
ASK_AGAIN_SECONDS = 0.2
CLOSE_TIMEOUT_SECONDS = 2.0
REPLICAS_FOR_SPARE = 3  # from here on a write can wait for two replicas while one is away


class KafkaBroker:
    """A connection to Kafka. Nothing is sent before it is needed."""

    def __init__(self, settings: KafkaSettings, client_id: str, topics: Sequence[Topic]) -> None:
        self._settings = settings
        self._client_id = client_id
        self._topics = topics
        self._publisher = KafkaPublisher(settings, client_id)

    @property
    def publisher(self) -> KafkaPublisher:
        """The sending half."""
        return self._publisher

    def subscriber(self) -> KafkaSubscriber:
        """Make a receiving half."""
        return KafkaSubscriber(self._settings, self._client_id)

    async def ensure_topics(self) -> None:
        """Create the topics that are missing; those that exist stay as they are.

        Raises:
            BrokerUnavailable: Kafka does not answer, or does not let us.
        """
        await self._ask(CREATE_TIMEOUT_SECONDS, self._create_missing)

    async def find_faults(self) -> list[str]:
        """Compare the topics with what we would create.

        Raises:
            BrokerUnavailable: Kafka does not answer, or does not let us look.
        """
        faults: list[str] = []

        async def look(admin: AIOKafkaAdminClient) -> None:
            names = [topic.name for topic in self._topics]
            partitions = {
                topic["topic"]: topic["partitions"] for topic in await admin.describe_topics()
            }
            kept = await _retentions(admin, [name for name in names if name in partitions])
            faults[:] = [
                fault
                for topic in self._topics
                for fault in self._faults_of(topic, partitions.get(topic.name), kept)
            ]

        await self._ask(CREATE_TIMEOUT_SECONDS, look)
        return faults

    def _faults_of(
        self, topic: Topic, partitions: list[Any] | None, kept: dict[str, int]
    ) -> list[str]:
        if partitions is None:
            return [f"{topic.name} is missing"]
        faults = []
        if len(partitions) < self._settings.partitions:
            faults.append(f"{topic.name} has {len(partitions)} of our {self._settings.partitions}"
                          " partitions")  # fmt: skip
        replicas = min(len(partition["replicas"]) for partition in partitions)
        if replicas < self._settings.replication_factor:
            faults.append(f"{topic.name} has {replicas} of our "
                          f"{self._settings.replication_factor} replicas")  # fmt: skip
        wanted = topic.retention // timedelta(milliseconds=1)
        if 0 <= kept.get(topic.name, -1) < wanted:
            hours = kept[topic.name] // 3_600_000
            faults.append(f"{topic.name} forgets after {hours} hours, not {topic.retention.days}"
                          " days")  # fmt: skip
        return faults

    async def check(self) -> None:
        """Return if Kafka answers within two seconds.

        Raises:
            BrokerUnavailable: It does not.
        """
        await self._ask(CHECK_TIMEOUT_SECONDS, lambda admin: admin.list_topics())

    async def close(self) -> None:
        """Disconnect."""
        await self._publisher.close()

    def _new(self, topic: Topic) -> NewTopic:
        replicas = self._settings.replication_factor
        return NewTopic(
            name=topic.name,
            num_partitions=self._settings.partitions,
            replication_factor=replicas,
            topic_configs={
                "cleanup.policy": "delete",
                "retention.ms": str(topic.retention // timedelta(milliseconds=1)),
                "min.insync.replicas": "2" if replicas >= REPLICAS_FOR_SPARE else "1",
            },
        )

    async def _create_missing(self, admin: AIOKafkaAdminClient) -> None:
        existing = set(await admin.list_topics())
        missing = [self._new(topic) for topic in self._topics if topic.name not in existing]
        if not missing:
            return
        answer = await admin.create_topics(missing)
        for name, code, *_ in answer.topic_errors:
            if code not in {0, TopicAlreadyExistsError.errno}:  # somebody may have been faster
                raise BrokerUnavailable(f"Kafka did not create {name}: {for_code(code).__name__}")

    async def _ask(
        self, seconds: float, question: Callable[[AIOKafkaAdminClient], Awaitable[object]]
    ) -> None:
        """Ask Kafka something, again and again for some seconds.

        A broker that has just come back lets clients connect before it knows of itself: its first
        metadata names no broker, and the client gives up at once (`NodeNotReadyError`).
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            try:
                async with asyncio.timeout_at(deadline), self._admin(seconds) as admin:
                    await question(admin)
            except TROUBLES as error:
                if loop.time() + ASK_AGAIN_SECONDS >= deadline:
                    kind = type(error).__name__
                    raise BrokerUnavailable(f"Kafka does not answer: {kind}") from error
            else:
                return
            await asyncio.sleep(ASK_AGAIN_SECONDS)

    @asynccontextmanager
    async def _admin(self, timeout_seconds: float) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(
            **self._settings.client_options(),
            client_id=self._client_id,
            request_timeout_ms=round(timeout_seconds * 1000),
        )
        try:
            await admin.start()
            yield admin
        finally:
            await ends_within(CLOSE_TIMEOUT_SECONDS, admin.close())


async def _retentions(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, int]:
    """Read how long topics keep their messages, in milliseconds; -1 is for ever."""
    asked = [
        ConfigResource(ConfigResourceType.TOPIC, name, configs={"retention.ms": None})
        for name in names
    ]
    answers = await admin.describe_configs(asked) if asked else []
    return {
        name: int(value)
        for answer in answers
        for _code, _message, _kind, name, entries in answer.resources
        for key, value, *_ in entries
        if key == "retention.ms"
    }


@asynccontextmanager
async def open_kafka(
    url: str, *, client_id: str, topics: Sequence[Topic] = TOPICS
) -> AsyncIterator[KafkaBroker]:
    """Open Kafka, which may still be down: nothing is sent before it is needed.

    Args:
        url: See `kafka_settings`.
        client_id: Our name in the broker's logs and quotas.
        topics: What `ensure_topics` creates.

    Raises:
        ValueError: The URL is none that we know; see `KafkaSettings.parse`.
    """
    broker = KafkaBroker(KafkaSettings.parse(url), client_id, topics)
    try:
        yield broker
    finally:
        await broker.close()
