"""Opens the broker that a URL names."""

from contextlib import AbstractAsyncContextManager

from payment_service.domain.errors import InvalidSettings
from payment_service.messaging.broker import Broker
from payment_service.messaging.kafka import open_kafka
from payment_service.messaging.kafka_settings import SCHEME, KafkaSettings
from payment_service.messaging.memory import open_memory


def open_broker(url: str, *, client_id: str) -> AbstractAsyncContextManager[Broker]:
    """Open `memory://` or `kafka://host:port,...`.

    Raises:
        InvalidSettings: It is like the one of Kafka, and wrong; without its password.
        ValueError: The URL is neither.
    """
    if url == "memory://":
        return open_memory()
    if url.startswith(SCHEME):
        try:
            KafkaSettings.parse(url)
        except ValueError as error:
            raise InvalidSettings([f"PAYMENTS_BROKER_URL: {error}"]) from error
        return open_kafka(url, client_id=client_id)
    raise ValueError("a broker URL starts with memory:// or kafka://")
