"""The brokers that must pass one suite: the one in this process, and a real Kafka."""

import secrets
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from payment_service.messaging.broker import Broker
from payment_service.messaging.kafka import KafkaBroker, open_kafka
from payment_service.messaging.memory import open_memory
from payment_service.messaging.topics import Topic

PARTITIONS = 4


@pytest.fixture
def topic() -> str:
    """Return a topic that no other test uses."""
    return f"test.{secrets.token_hex(6)}"


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.stack)])
async def broker(request: pytest.FixtureRequest, topic: str) -> AsyncIterator[Broker]:
    """Open each broker in turn, with the topic made."""
    if request.param == "memory":
        async with open_memory() as memory:
            yield memory
    else:
        url = kafka_url(request.getfixturevalue("kafka_server"))
        async with open_kafka(url, client_id="test", topics=[_topic(topic)]) as kafka:
            await kafka.ensure_topics()
            yield kafka


@pytest.fixture
async def kafka(kafka_server, topic: str) -> AsyncIterator[KafkaBroker]:
    """Open Kafka without asking it for anything: it may be down."""
    url = kafka_url(kafka_server)
    async with open_kafka(url, client_id="test", topics=[_topic(topic)]) as opened:
        yield opened


def kafka_url(server) -> str:
    """Name the server, with a short session so that the dead are noticed soon."""
    return f"kafka://{server.bootstrap}?partitions={PARTITIONS}&session_timeout_ms=6000"


def _topic(name: str) -> Topic:
    return Topic(name, timedelta(days=1))
