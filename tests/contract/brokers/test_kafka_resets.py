"""Connections that are reset at the wrong moment: uvloop says RuntimeError, and it is no bug."""

import asyncio
from contextlib import nullcontext
from typing import Any

import pytest

from payment_service.messaging import kafka_subscriber
from payment_service.messaging.broker import BrokerUnavailable, Message
from payment_service.messaging.kafka import KafkaBroker
from payment_service.messaging.kafka_publisher import KafkaPublisher
from payment_service.messaging.kafka_settings import KafkaSettings
from payment_service.messaging.kafka_subscriber import KafkaSubscriber

NOWHERE = KafkaSettings.parse("kafka://127.0.0.1:1")
PATIENCE_SECONDS = 10
RESET = RuntimeError("unable to perform operation on <TCPTransport>; the handler is closed")


class Reset:
    """A client of Kafka whose every connection is reset."""

    def __init__(self) -> None:
        self.starts = 0
        self.stops = 0
        self.again = asyncio.Event()

    async def start(self) -> None:
        """Fail as aiokafka does."""
        self.starts += 1
        if self.starts > 1:
            self.again.set()
        raise RESET

    async def stop(self) -> None:
        """End."""
        self.stops += 1


async def test_a_consumer_whose_connection_is_reset_begins_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reset = Reset()
    monkeypatch.setattr(KafkaSubscriber, "_consumer", lambda _self, _group: reset)
    monkeypatch.setattr(kafka_subscriber, "RECONNECT_SECONDS", (0.0, 0.0))

    async def handle(_message: Message) -> None:
        """Never called."""

    running = asyncio.create_task(KafkaSubscriber(NOWHERE, "c").run(["t"], "g", handle))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.wait(
            [running, asyncio.create_task(reset.again.wait())],
            return_when=asyncio.FIRST_COMPLETED,
        )

    assert not running.done()
    assert reset.stops >= 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_producer_whose_connection_is_reset_has_sent_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def connect(_self: KafkaPublisher, **_options: Any) -> Any:
        raise RESET

    monkeypatch.setattr(KafkaPublisher, "_connect", connect)
    publisher = KafkaPublisher(NOWHERE, "c")

    results = await publisher.publish([Message("t", "k", b"1", {}), Message("t", "k", b"2", {})])

    assert [type(result) for result in results] == [BrokerUnavailable, BrokerUnavailable]


async def test_a_check_whose_connection_is_reset_finds_no_broker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def question(_admin: Any) -> None:
        raise RESET

    broker = KafkaBroker(NOWHERE, "c", ())
    monkeypatch.setattr(broker, "_admin", lambda _seconds: nullcontext())

    with pytest.raises(BrokerUnavailable):
        await broker._ask(0.5, question)
