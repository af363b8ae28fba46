"""Kafka with passwords over TLS: the service is let in, and nobody else."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import confluent_kafka.admin
import pytest

from deploy.stack.kafka import KafkaServer
from deploy.stack.ports import free_port
from payment_service.messaging.broker import BrokerUnavailable
from payment_service.messaging.kafka import open_kafka
from payment_service.messaging.topics import Topic
from tests.contract.brokers.harness import Received, consuming, messages, send, until
from tests.support.certificates import certify
from tests.support.stack import started

pytestmark = pytest.mark.stack
USER, PASSWORD = "payments", "p4ss-w%2Ford"
JAAS = "org.apache.kafka.common.security"
SCRAM = confluent_kafka.admin.ScramMechanism.SCRAM_SHA_512


@dataclass(frozen=True)
class Secured:
    """A broker that asks for a password over TLS."""

    port: int
    ca_path: Path
    other_ca_path: Path

    def url(self, mechanism: str, *, password: str = PASSWORD, ca: Path | None = None) -> str:
        """Return its address for the service."""
        options = f"sasl_mechanism={mechanism}&ssl_cafile={ca or self.ca_path}"
        return f"kafka://{USER}:{password}@127.0.0.1:{self.port}?{options}"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("tls")
    keystore, ca_path = certify(folder, "broker")
    _, other_ca_path = certify(folder, "stranger")
    port = free_port()
    address = f"SASL_SSL://127.0.0.1:{port}"
    listener = "listener.name.sasl_ssl"
    plain = f'{JAAS}.plain.PlainLoginModule required user_{USER}="p4ss-w/ord";'
    properties = {
        "listeners": address,
        "advertised.listeners": address,
        "listener.security.protocol.map": "SASL_SSL:SASL_SSL",
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
        f"{listener}.plain.sasl.jaas.config": plain,
        f"{listener}.scram-sha-512.sasl.jaas.config": f"{JAAS}.scram.ScramLoginModule required;",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": keystore,
    }
    with started(KafkaServer(properties=properties)) as server:
        admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": server.bootstrap})
        credential = confluent_kafka.admin.UserScramCredentialUpsertion(
            USER, confluent_kafka.admin.ScramCredentialInfo(SCRAM, 4096), b"p4ss-w/ord"
        )
        for done in admin.alter_user_scram_credentials([credential]).values():
            done.result(timeout=30)
        yield Secured(port, ca_path, other_ca_path)


@pytest.fixture(autouse=True)
async def farewell() -> AsyncIterator[None]:
    """End when no connection is left: over TLS each of them ends with a farewell of both sides.

    aiokafka waits for no broker's. A test that ends before it would leave a socket behind, to be
    found and complained of in the midst of another test.
    """
    yield
    # The loop's own list, since whoever had the connection has forgotten it.
    connections = asyncio.get_running_loop()._transports  # type: ignore[attr-defined]
    await until(lambda: all(each.is_closing() for each in connections.values()))


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
async def test_messages_pass_with_the_right_password(
    secured: Secured, mechanism: str, topic: str
) -> None:
    received = Received()
    topics = [Topic(topic, timedelta(days=1))]
    async with open_kafka(secured.url(mechanism), client_id="test", topics=topics) as kafka:
        await kafka.ensure_topics()
        async with consuming(kafka.subscriber(), topic, received):
            await send(kafka.publisher, messages(topic, "a"))
            await until(lambda: bool(received.messages))

    assert received.values() == [b"0"]


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
async def test_a_wrong_password_is_told_as_unavailable(secured: Secured, mechanism: str) -> None:
    async with open_kafka(secured.url(mechanism, password="wrong"), client_id="test") as kafka:
        with pytest.raises(BrokerUnavailable):
            await kafka.check()


async def test_a_broker_with_another_certificate_is_not_talked_to(
    secured: Secured, topic: str
) -> None:
    url = secured.url("PLAIN", ca=secured.other_ca_path)
    async with open_kafka(url, client_id="test") as kafka:
        with pytest.raises(BrokerUnavailable):
            await kafka.check()
        (result,) = await kafka.publisher.publish(messages(topic, "a"))

    assert isinstance(result, BrokerUnavailable)
