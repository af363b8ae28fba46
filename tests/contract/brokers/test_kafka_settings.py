"""How a Kafka URL is read."""

import re

import pytest

from payment_service.messaging.connect import open_broker
from payment_service.messaging.kafka_settings import KafkaSettings


def test_servers_alone_are_enough():
    settings = KafkaSettings.parse("kafka://a:9092,b.example:9093,[::1]:9094")

    assert settings.bootstrap_servers == "a:9092,b.example:9093,[::1]:9094"
    assert settings.client_options() == {
        "bootstrap_servers": settings.bootstrap_servers,
        "security_protocol": "PLAINTEXT",
    }


def test_credentials_are_percent_decoded_and_mean_sasl_over_tls():
    settings = KafkaSettings.parse("kafka://us%40er:p%3Aa%2Fss%40@a:9092?sasl_mechanism=PLAIN")

    options = settings.client_options()

    assert options["sasl_plain_username"] == "us@er"
    assert options["sasl_plain_password"] == "p:a/ss@"
    assert options["sasl_mechanism"] == "PLAIN"
    assert options["security_protocol"] == "SASL_SSL"
    assert options["ssl_context"].check_hostname


def test_credentials_are_not_shown():
    settings = KafkaSettings.parse("kafka://canary-user:canary-pass@a:9092")

    assert "canary" not in repr(settings)
    assert "canary" not in str(settings)


def test_topics_take_their_shape_from_options():
    settings = KafkaSettings.parse("kafka://a:9092?partitions=12&replication_factor=3")

    assert (settings.partitions, settings.replication_factor) == (12, 3)


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("http://a:9092", "starts with kafka://"),
        ("kafka://", "host:port"),
        ("kafka://a", "host:port"),
        ("kafka://a:0", "host:port"),
        ("kafka://a:70000", "host:port"),
        ("kafka://a:9092,", "host:port"),
        ("kafka://a:9092/topic", "host:port"),
        ("kafka://a:9092?acks=0", "no option 'acks'"),
        ("kafka://a:9092?partitions=0", "partitions is a number from 1"),
        ("kafka://a:9092?partitions=six", "partitions is a number"),
        ("kafka://a:9092?partitions=\u0666", "partitions is a number"),
        ("kafka://a:9092?partitions=", "partitions is a number"),
        ("kafka://a:9092?partitions=1&partitions=2", "twice"),
        ("kafka://a:9092?replication_factor=99", "replication_factor"),
        ("kafka://a:9092?session_timeout_ms=10", "session_timeout_ms"),
        ("kafka://a:9092?security_protocol=TLS", "security_protocol is one of PLAINTEXT"),
        ("kafka://u:p@a:9092?sasl_mechanism=GSSAPI", "sasl_mechanism is one of PLAIN"),
        ("kafka://a:9092?ssl_cafile=/no/such/file", "ssl_cafile names no file"),
        ("kafka://u:p@a:9092?security_protocol=SSL", "user:password with SASL"),
        ("kafka://a:9092?security_protocol=SASL_SSL", "user:password with SASL"),
        ("kafka://u@a:9092", "user:password with SASL"),
    ],
)
def test_a_fault_is_named(url: str, fault: str):
    with pytest.raises(ValueError, match=re.escape(fault)):
        KafkaSettings.parse(url)


def test_no_fault_repeats_a_password():
    with pytest.raises(ValueError, match="host:port") as caught:
        KafkaSettings.parse("kafka://user:canary@/")

    assert "canary" not in str(caught.value)


def test_a_broker_url_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="memory:// or kafka://"):
        open_broker("amqp://a", client_id="test")


async def test_the_memory_broker_is_opened_by_its_url():
    async with open_broker("memory://", client_id="test") as broker:
        await broker.check()
        assert broker.subscriber().lag() == {}
