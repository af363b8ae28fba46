"""Checks a consumer that is written in Python, without a broker, in a second."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from consumer_kit.scenarios import Deliver, Restart, Scenario, Step
from consumer_kit.verdicts import Report, Verdict, judge, stuck

TRIES_MAX = 3  # of a message whose handler raises: it is delivered again, as by Kafka
HANDLER_SECONDS_MAX = 30.0


class Consumer(Protocol):
    """What the kit asks of a consumer."""

    async def handle(self, key: str, value: bytes) -> None:
        """Deal with a message; raise if it must be delivered again."""

    async def report(self) -> Report:
        """Tell what is believed now."""


OpenConsumer = Callable[[Path], AbstractAsyncContextManager[Consumer]]
"""Opens a consumer on a folder that holds its state; a restart opens the folder again."""


async def check(open_consumer: OpenConsumer, scenarios: Iterable[Scenario]) -> list[Verdict]:
    """Let a consumer go through each scenario, with an empty state."""
    return [await _check(open_consumer, scenario) for scenario in scenarios]


async def _check(open_consumer: OpenConsumer, scenario: Scenario) -> Verdict:
    report: Report = {}
    with TemporaryDirectory() as folder:
        for life in _lives(scenario.steps):
            async with open_consumer(Path(folder)) as consumer:
                for place, delivery in enumerate(life, start=1):
                    fault = await _deliver(consumer, delivery)
                    if fault is not None:
                        return stuck(scenario, f"stuck at message {place}: {fault}")
                report = await consumer.report()
    return judge(scenario, report)


async def _deliver(consumer: Consumer, delivery: Deliver) -> str | None:
    fault = None
    for _ in range(TRIES_MAX):
        try:
            async with asyncio.timeout(HANDLER_SECONDS_MAX):
                await consumer.handle(delivery.key, delivery.value)
        except Exception as error:  # noqa: BLE001  # whatever it was: the message is not dealt with
            fault = f"{type(error).__name__}: {error}"
        else:
            return None
    return fault


def _lives(steps: Iterable[Step]) -> list[list[Deliver]]:
    lives: list[list[Deliver]] = [[]]
    for step in steps:
        if isinstance(step, Restart):
            lives.append([])
        else:
            lives[-1].append(step)
    return lives
