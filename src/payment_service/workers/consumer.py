"""Reads the webhooks topic and applies each webhook. Progress is kept after the database's word.

A webhook that cannot be applied now is put off in its own row, where the scheduler finds it; so it
never holds up other payments, and no message is needed to come back to it.
"""

from payment_service.domain.clock import Clock
from payment_service.domain.errors import NotFound, StorageUnavailable
from payment_service.messaging import events, topics
from payment_service.messaging.broker import Message, Subscriber
from payment_service.providers.provider import PaymentProvider
from payment_service.storage.database import Database
from payment_service.telemetry import tracing
from payment_service.telemetry.logging import bound, get_logger
from payment_service.telemetry.metrics import Metrics
from payment_service.use_cases.apply_webhook import apply_webhook, postpone_webhook

log = get_logger(__name__)

GROUP = "payment-service"


class Consumer:
    """Applies webhooks."""

    def __init__(
        self, database: Database, provider: PaymentProvider, clock: Clock, metrics: Metrics
    ) -> None:
        self._database = database
        self._provider = provider
        self._clock = clock
        self._metrics = metrics

    async def run(self, subscriber: Subscriber) -> None:
        """Consume until cancelled."""
        await subscriber.run([topics.WEBHOOKS], GROUP, self.handle)

    async def handle(self, message: Message) -> None:
        """Deal with one message for good.

        Raises:
            StorageUnavailable: Nothing can be noted now: the message must come again.
        """
        try:
            webhook_id = events.read_webhook_received(message.value)
        except ValueError:
            log.exception("consumer.unreadable_message", topic=message.topic)
            self._metrics.unhandled_errors.labels("consumer").inc()
            return
        with (
            bound(webhook_id=webhook_id),
            tracing.processing(message.topic, message.headers),
        ):
            tracing.mark(webhook_id=webhook_id)
            await self.apply(webhook_id)

    async def apply(self, webhook_id: str) -> None:
        """Apply a stored webhook, or put it off.

        Raises:
            StorageUnavailable: Nothing can be noted now.
        """
        try:
            await apply_webhook(self._database, self._provider, self._clock, webhook_id)
        except StorageUnavailable:
            raise
        except NotFound:
            log.warning("consumer.webhook_missing")
            return
        except Exception as error:
            tracing.fail(error)
            log.exception("consumer.failed")
            self._metrics.unhandled_errors.labels("consumer").inc()
            await postpone_webhook(self._database, self._clock, webhook_id, error)
