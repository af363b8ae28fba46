"""The private Kafka, through a client that is not the service's own."""

from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, Producer

from deploy.stack.kafka import KafkaServer

pytestmark = pytest.mark.stack

DEADLINE_SECONDS = 30


@pytest.fixture
def kafka(kafka_server: KafkaServer) -> Iterator[KafkaServer]:
    yield kafka_server
    if not kafka_server.is_running:
        kafka_server.start()


def publish(server: KafkaServer, topic: str, *values: bytes) -> None:
    producer = Producer({"bootstrap.servers": server.bootstrap, "enable.idempotence": True})
    for value in values:
        producer.produce(topic, value, key=b"k")
    assert producer.flush(DEADLINE_SECONDS) == 0


def read(server: KafkaServer, topic: str, *, group: str, count: int) -> list[bytes]:
    consumer = Consumer(
        {
            "bootstrap.servers": server.bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    try:
        consumer.subscribe([topic])
        messages = consumer.consume(count, timeout=DEADLINE_SECONDS)
        consumer.commit(asynchronous=False)
        return [message.value() for message in messages]
    finally:
        consumer.close()


def test_a_group_reads_what_was_published_in_order(kafka: KafkaServer):
    publish(kafka, "orders.v1", b"one", b"two", b"three")

    assert read(kafka, "orders.v1", group="g", count=3) == [b"one", b"two", b"three"]


def test_acknowledged_messages_and_offsets_survive_a_kill_on_the_same_port(kafka: KafkaServer):
    publish(kafka, "kept.v1", b"before", b"after")
    assert read(kafka, "kept.v1", group="g", count=1) == [b"before"]
    port = kafka.port

    kafka.kill()
    kafka.start()

    assert kafka.port == port
    assert read(kafka, "kept.v1", group="g", count=1) == [b"after"]


def test_a_restart_takes_an_orderly_way_and_keeps_messages(kafka: KafkaServer):
    publish(kafka, "restarted.v1", b"kept")

    kafka.restart()

    assert read(kafka, "restarted.v1", group="g", count=1) == [b"kept"]


def test_it_tells_its_version_and_stays_within_its_memory(kafka: KafkaServer):
    assert kafka.version.startswith(("3.", "4."))
    assert kafka.url == f"kafka://127.0.0.1:{kafka.port}"
    assert kafka.memory_bytes < 700 * 1024 * 1024


def test_clients_can_be_told_to_connect_to_a_proxy() -> None:
    with KafkaServer(advertised_port=1) as behind:
        producer = Producer({"bootstrap.servers": behind.bootstrap})
        brokers = producer.list_topics(timeout=DEADLINE_SECONDS).brokers.values()

    assert [broker.port for broker in brokers] == [1]
