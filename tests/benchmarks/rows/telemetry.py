"""What being seen costs: webhooks, received and applied, without and with logs, metrics, traces."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from statistics import median

from payment_service.messaging import topics
from tests.benchmarks import messages
from tests.benchmarks.rounds import send_all, take_turns
from tests.benchmarks.rows.consumer import Applier, apply_all
from tests.benchmarks.samples import Finding, Sample, Section
from tests.benchmarks.size import Size
from tests.benchmarks.stage import Service, Stage
from tests.support.deployment import Launch, from_source
from tests.support.otlp import running_collector

SHORTER = 4  # rounds of receiving than elsewhere, and as many more: the differences are small
MORE = 3  # rounds of applying: each has new processes, which differ whatever they tell
ADDED_MAX = 1.10  # by the default telemetry to a webhook, all processes together


def _blind(arguments: Sequence[str], _environ: dict[str, str]) -> list[str]:
    return [sys.executable, "-m", "tests.benchmarks.blind_service", *arguments]


@dataclass(frozen=True, slots=True)
class Variant:
    """How much a service tells."""

    launch: Launch = from_source
    is_traced: bool = False
    sampler: str = ""  # the default one if empty

    def environ(self, collector: str) -> dict[str, str]:
        """Return its settings."""
        traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector} if self.is_traced else {}
        return traced | ({"OTEL_TRACES_SAMPLER": self.sampler} if self.sampler else {})


VARIANTS = {
    "blind": Variant(launch=_blind),
    "untraced": Variant(),
    "default": Variant(is_traced=True),
    "every trace": Variant(is_traced=True, sampler="always_on"),
}


async def measure(stage: Stage, size: Size) -> list[Section]:
    """Compare with a service that tells nothing, by the processor time of a webhook."""
    with running_collector() as collector:

        async def service(name: str, work: str) -> Service:
            variant = VARIANTS[name]
            database = f"bench_{work}_{list(VARIANTS).index(name)}"
            environ = variant.environ(collector.url)
            return await stage.service(database, environ=environ, launch=variant.launch)

        received = await _receive(
            stage, size, {name: await service(name, "received") for name in VARIANTS}
        )
        applied = await _apply(
            stage, size, {name: await service(name, "applied") for name in ("blind", "default")}
        )
        applied.notes = [f"{len(collector.spans())} spans left"]
    applied.findings.append(
        Finding(what="both / blind", values=_whole(received, applied), at_most=ADDED_MAX)
    )
    return [received, applied]


def _whole(received: Section, applied: Section) -> list[float]:
    """Divide what receiving and applying take together, round by round of applying."""

    def taken(side: str) -> list[float]:
        receiving = median(received.measured(side, "cpu_us"))
        return [receiving + applying for applying in applied.measured(side, "cpu_us")]

    return [seen / blind for seen, blind in zip(taken("default"), taken("blind"), strict=True)]


async def _receive(stage: Stage, size: Size, sides: Mapping[str, Service]) -> Section:
    count, rounds = size.webhooks // SHORTER, size.rounds * SHORTER
    for side in sides.values():
        await stage.service(side.database, "api")

    async def run(side: Service, requests: list[bytes]) -> Sample:
        return await send_all(
            [side.pid], [side.port], requests, connections=size.connections, expected=HTTPStatus.OK
        )

    section = Section(
        "telemetry",
        f"POST /v1/webhooks/payos, {size.connections} connections, {rounds} rounds of {count}",
    )
    section.sides = await take_turns(
        sides,
        rounds,
        prepare=lambda _number: messages.webhooks(stage.take(count), count),
        run=run,
    )
    section.findings = [
        Finding(what=f"receiving, {name} / blind", values=section.ratios(name, "blind", "cpu_us"))
        for name in VARIANTS
        if name != "blind"
    ]
    for side in sides.values():
        side.end("api")
    return section


async def _apply(stage: Stage, size: Size, sides: Mapping[str, Service]) -> Section:
    """Have the consumers take turns, each with the group to itself."""

    async def run(side: Service, _work: None) -> Sample:
        await stage.service(side.database, "consumer")
        applier = Applier(side.database, side.pid_of("consumer"), topics.WEBHOOKS, sealed=True)
        # A process is new in each round: what it does once, such as the first sending of spans,
        # belongs to no webhook.
        await apply_all(stage, applier, stage.take(size.applied), size.applied)
        return await apply_all(stage, applier, stage.take(size.applied), size.applied)

    rounds = MORE * size.rounds
    section = Section(
        "telemetry",
        f"the same applied, {rounds} rounds of {size.applied}",
        "webhooks/s",
    )
    section.sides = await take_turns(sides, rounds, prepare=lambda _number: None, run=run)
    section.findings = [
        Finding(
            what="applying, default / blind", values=section.ratios("default", "blind", "cpu_us")
        )
    ]
    return section
