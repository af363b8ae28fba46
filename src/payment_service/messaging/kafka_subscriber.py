"""Receives from Kafka, as a member of a group; an offset is committed after its handler returned.

A session is one membership, from joining to leaving; after trouble the next one begins. It keeps a
lane for each partition that it is given; see `kafka_lane.py`.
"""

import asyncio
from collections.abc import Iterable, Sequence

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError

from payment_service import failpoints
from payment_service.messaging.bounded import ends_within
from payment_service.messaging.broker import Handler
from payment_service.messaging.kafka_lane import RECORDS_MAX, Lane
from payment_service.messaging.kafka_settings import KafkaSettings
from payment_service.messaging.kafka_troubles import TROUBLES
from payment_service.telemetry.logging import get_logger

log = get_logger(__name__)

TICK_SECONDS = 0.5  # between commits: what a crash makes come again
START_TIMEOUT_SECONDS = 15.0
COMMIT_TIMEOUT_SECONDS = 5.0
LEAVE_TIMEOUT_SECONDS = 5.0
RECONNECT_SECONDS = (0.5, 10.0)  # the first and the longest pause
CONCURRENT_HANDLERS_MAX = 16
MAX_POLL_INTERVAL_MS = 300_000
METADATA_MAX_AGE_MS = 5_000  # so soon we learn of new topics and partitions

NOWHERE = TopicPartition("", 0)

Lag = dict[tuple[str, int], int]


class KafkaSubscriber:
    """The receiving half. Partitions are worked on side by side, each in order."""

    def __init__(self, settings: KafkaSettings, client_id: str) -> None:
        self._settings = settings
        self._client_id = client_id
        self._lag: Lag = {}

    def lag(self) -> Lag:
        """Tell how many messages wait, per topic and partition of ours, half a second ago."""
        return dict(self._lag)

    async def run(self, topics: Sequence[str], group: str, handler: Handler) -> None:
        """Receive until cancelled; a broker that is away is waited for."""
        first_pause, longest_pause = RECONNECT_SECONDS
        pause = first_pause
        while True:
            session = _Session(self._consumer(group), handler, self._lag)
            try:
                await session.run(topics)
            except TROUBLES as error:
                log.warning("kafka.consumer_reconnects", error=type(error).__name__)
            finally:
                self._lag.clear()
            pause = first_pause if session.was_given_work else min(longest_pause, pause * 2)
            await asyncio.sleep(pause)

    def _consumer(self, group: str) -> AIOKafkaConsumer:
        session_timeout_ms = self._settings.session_timeout_ms
        return AIOKafkaConsumer(
            **self._settings.client_options(),
            client_id=self._client_id,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=RECORDS_MAX,
            max_poll_interval_ms=MAX_POLL_INTERVAL_MS,
            session_timeout_ms=session_timeout_ms,
            heartbeat_interval_ms=session_timeout_ms // 5,
            metadata_max_age_ms=METADATA_MAX_AGE_MS,
        )


class _Session(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is not typed
    """One membership of the group."""

    def __init__(self, consumer: AIOKafkaConsumer, handler: Handler, lag: Lag) -> None:
        self.was_given_work = False
        self._consumer = consumer
        self._handler = handler
        self._lag = lag
        self._lanes: dict[TopicPartition, Lane] = {}
        self._turn = asyncio.Semaphore(CONCURRENT_HANDLERS_MAX)
        self._trouble: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, topics: Sequence[str]) -> None:
        """Receive until cancelled or in trouble; then finish what is in hand and leave.

        Raises:
            KafkaError, OSError, TimeoutError, RuntimeError: The next session may do better.
        """
        try:
            async with asyncio.timeout(START_TIMEOUT_SECONDS):
                await self._consumer.start()
            self._consumer.subscribe(list(topics), listener=self)
            while True:
                await asyncio.wait([self._trouble], timeout=TICK_SECONDS)
                if self._trouble.done():
                    self._trouble.result()
                await self._tick()
        finally:
            await self._leave()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Finish the messages in hand and commit, before others are given the partitions."""
        await self._halt()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Open a lane for each partition."""
        await self._halt()
        for partition in assigned:
            lane = Lane(self._consumer, partition, self._handler, self._turn)
            self._lanes[partition] = lane
            lane.start(self._report)
        self.was_given_work = self.was_given_work or bool(self._lanes)
        log.info("kafka.partitions_assigned", partitions=len(self._lanes))

    def _report(self, error: BaseException) -> None:
        if not self._trouble.done():
            self._trouble.set_exception(error)

    async def _tick(self) -> None:
        try:
            async with asyncio.timeout(TICK_SECONDS):
                # Gets nothing. It raises what went wrong in the background, and it tells aiokafka
                # that we are alive when all lanes are busy or wait: else it would leave the group.
                await self._consumer.getmany(NOWHERE, timeout_ms=0)
        except TimeoutError:
            return  # a rebalance is under way
        lanes = list(self._lanes.values())
        await self._commit(lanes)
        measured = {
            (lane.partition.topic, lane.partition.partition): await lane.lag() for lane in lanes
        }
        self._lag.clear()
        self._lag.update({place: lag for place, lag in measured.items() if lag is not None})

    async def _halt(self) -> None:
        lanes, self._lanes = list(self._lanes.values()), {}
        await asyncio.gather(*(lane.stop() for lane in lanes))
        await self._commit(lanes)

    async def _commit(self, lanes: Sequence[Lane]) -> None:
        """Commit how far the lanes came. What fails now is tried at the next tick."""
        due = [lane for lane in lanes if lane.is_ahead]
        reached = {lane.partition: lane.next_offset for lane in due}
        if not reached:
            return
        try:
            async with asyncio.timeout(COMMIT_TIMEOUT_SECONDS):
                with failpoints.effect("consumer.commit_offsets"):
                    await self._consumer.commit(reached)
        except (CommitFailedError, IllegalStateError):
            # The partitions are no longer ours: somebody handles these messages again, harmlessly.
            log.warning("kafka.commit_lost", partitions=len(reached))
        except TROUBLES as error:
            log.warning("kafka.commit_failed", error=type(error).__name__)
        else:
            for lane in due:
                lane.committed(reached[lane.partition])

    async def _leave(self) -> None:
        await self._halt()
        if not await ends_within(LEAVE_TIMEOUT_SECONDS, self._consumer.stop()):
            log.warning("kafka.consumer_left_behind")
        if self._trouble.done():
            self._trouble.exception()  # looked at, so that it is not reported as forgotten
