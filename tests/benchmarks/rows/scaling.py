"""Scaling: two API processes against one, on the same database, free to run anywhere."""

import random
from collections.abc import Callable
from http import HTTPStatus

from tests.benchmarks import machine, messages
from tests.benchmarks.rounds import send_all, take_turns
from tests.benchmarks.rows.payments import readable
from tests.benchmarks.rows.webhooks import TABLES
from tests.benchmarks.samples import Finding, Sample, Section
from tests.benchmarks.size import Size
from tests.benchmarks.stage import Service, Stage

Apis = list[Service]


async def measure(stage: Stage, size: Size) -> list[Section]:
    """Compare on reads and on webhooks. Nobody has a processor to himself."""
    one = await stage.service("bench_ours", "api")
    two = await stage.another("bench_ours")
    for service in (one, two):
        machine.move(service.pid, machine.ALL)
    known = await readable(stage, one, one.token)
    sides = {"one": [one], "two": [one, two]}

    def reads() -> list[bytes]:
        return messages.reads(random.Random(4).choices(known, k=size.reads), one.token)

    def webhooks() -> list[bytes]:
        return messages.webhooks(stage.take(size.webhooks), size.webhooks)

    sections = [await _compare("two reads", "GET /v1/payments/{id}", sides, size, reads)]
    asked = len(sides) * (size.rounds + 1) * size.webhooks
    async with stage.growing([one.database], TABLES, by=asked):
        sections.append(
            await _compare("two hooks", "POST /v1/webhooks/payos", sides, size, webhooks)
        )
    machine.move(one.pid, machine.SERVER)
    two.close()
    return sections


async def _compare(
    name: str,
    what: str,
    sides: dict[str, Apis],
    size: Size,
    prepare: Callable[[], list[bytes]],
) -> Section:
    async def run(apis: Apis, _work: None) -> Sample:
        requests = prepare()  # each side its own: they share a database, and know each other's
        return await send_all(
            [api.pid for api in apis], [api.port for api in apis], requests,
            connections=size.connections, expected=HTTPStatus.OK,
        )  # fmt: skip

    section = Section(name, f"{what}, two API processes against one")
    section.sides = await take_turns(sides, size.rounds, prepare=lambda _number: None, run=run)
    section.findings = [Finding(what="req/s, two / one", values=section.ratios("two", "one"))]
    section.notes = [f"{len(machine.ALL)} processors; database and load have theirs on these, too"]
    return section
