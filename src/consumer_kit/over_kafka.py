"""Checks a consumer in any language, as a process that reads a topic of a real Kafka.

All scenarios go through one topic, one after the other: what comes last tells that all before was
dealt with, so nothing is waited for but that.
"""

import asyncio
import json
import shlex
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from consumer_kit.histories import created
from consumer_kit.scenarios import Deliver, Restart, Scenario, message
from consumer_kit.verdicts import Report, Verdict, judge, stuck

END_NUMBER = 9_999
DEATHS_MAX = 3  # of its own; a supervisor would start it again as well
REPORT_SECONDS = 30.0
POLL_SECONDS = 0.2
SHOWN_MAX = 300  # characters of what a process said last


class Unusable(Exception):
    """The check itself could not be made: the command does not start, or tells no report."""


@dataclass(frozen=True, slots=True)
class Commands:
    """How to start the consumer, and how to ask it.

    In both {bootstrap}, {topic}, {group} and {state}, a folder, are replaced by what they are.
    """

    run: str
    report: str
    settle_seconds: float = 120.0  # for all of it; a consumer that is slower counts as stuck


async def check(commands: Commands, bootstrap: str, scenarios: Sequence[Scenario]) -> list[Verdict]:
    """Let a consumer go through all scenarios, and say how it stood each.

    Raises:
        Unusable: There is no telling.
    """
    topic = f"payments.events.kit-{token_hex(6)}"
    await _make_topic(bootstrap, topic)
    with TemporaryDirectory(prefix="consumer-kit-") as folder:
        process = _Process(commands, bootstrap, topic, Path(folder))
        try:
            return await _check(process, bootstrap, topic, scenarios)
        finally:
            await process.kill()
            await _drop_topic(bootstrap, topic)


async def _check(
    process: "_Process", bootstrap: str, topic: str, scenarios: Sequence[Scenario]
) -> list[Verdict]:
    await process.start()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        for scenario in scenarios:
            for step in scenario.steps:
                if isinstance(step, Restart):
                    await process.kill()
                    await process.start()
                else:
                    await _send(producer, topic, step)
        end = created(END_NUMBER)
        await _send(producer, topic, message(end.events[0]))
    why = await process.reaches(end.payment_id)
    report = await process.report()
    verdicts = [judge(scenario, report) for scenario in scenarios]
    if why is None:
        return verdicts
    # What it has not come to is not wrong, only late: the first that it did not get through is.
    place = next((n for n, verdict in enumerate(verdicts) if not verdict.is_fine), 0)
    return [*verdicts[:place], stuck(scenarios[place], why)]


async def _send(producer: AIOKafkaProducer, topic: str, delivery: Deliver) -> None:
    await producer.send_and_wait(topic, key=delivery.key.encode(), value=delivery.value)


class _Process:
    """The consumer, started again when it ends by itself, as a supervisor would."""

    def __init__(self, commands: Commands, bootstrap: str, topic: str, state: Path) -> None:
        self._commands = commands
        self._names = {
            "bootstrap": bootstrap,
            "topic": topic,
            "group": topic,
            "state": str(state),
        }
        self._log = state / "consumer-kit.log"
        self._running: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        command = self._filled_in(self._commands.run)
        with self._log.open("ab") as log:
            try:
                self._running = await asyncio.create_subprocess_exec(
                    *command, stdout=log, stderr=log
                )
            except OSError as error:
                raise Unusable(f"the consumer does not start: {error}") from error

    async def kill(self) -> None:
        """End it as a power cut does."""
        if self._running is not None:
            with suppress(ProcessLookupError):
                self._running.kill()
            await self._running.wait()
            self._running = None

    async def reaches(self, payment_id: str) -> str | None:
        """Wait until it has heard of a payment; say why it has not, or None."""
        deaths = 0
        try:
            async with asyncio.timeout(self._commands.settle_seconds):
                while payment_id not in await self.report():
                    if self._running is not None and self._running.returncode is not None:
                        deaths += 1
                        if deaths > DEATHS_MAX:
                            return f"it dies again and again: {self._last_words()}"
                        await self.start()
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            return f"it did not come to the end in time: {self._last_words()}"
        return None

    async def report(self) -> Report:
        """Ask for the report."""
        command = self._filled_in(self._commands.report)
        try:
            asked = await asyncio.create_subprocess_exec(
                *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
            )
            async with asyncio.timeout(REPORT_SECONDS):
                output, errors = await asked.communicate()
            report = json.loads(output)
        except (OSError, TimeoutError, ValueError) as error:
            raise Unusable(f"the report cannot be read: {type(error).__name__}: {error}") from error
        if asked.returncode != 0 or not isinstance(report, dict):
            raise Unusable(f"there is no report: {errors[-SHOWN_MAX:].decode(errors='replace')}")
        return report

    def _filled_in(self, command: str) -> list[str]:
        for name, value in self._names.items():
            command = command.replace(f"{{{name}}}", value)
        return shlex.split(command)

    def _last_words(self) -> str:
        said = self._log.read_bytes()[-SHOWN_MAX:].decode(errors="replace").strip()
        return said.splitlines()[-1] if said else "it said nothing"


async def _make_topic(bootstrap: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


async def _drop_topic(bootstrap: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([name])
    finally:
        await admin.close()


def chosen(scenarios: Iterable[Scenario], only: Sequence[str]) -> list[Scenario]:
    """Keep those that are named, or all.

    Raises:
        Unusable: There is none of a name.
    """
    found = [scenario for scenario in scenarios if not only or scenario.name in only]
    missing = set(only) - {scenario.name for scenario in found}
    if missing:
        raise Unusable(f"there is no scenario {', '.join(sorted(missing))}")
    return found
