"""Payments over HTTP into MySQL: created while payOS answers at once, and read."""

import random
from http import HTTPStatus

from tests.benchmarks import messages
from tests.benchmarks.rounds import send_all, take_turns
from tests.benchmarks.samples import Finding, Sample, Section
from tests.benchmarks.size import Size
from tests.benchmarks.stage import Peer, Service, Stage

TABLES = ("payments", "payment_attempts", "idempotency_keys", "audit_log", "outbox_events")
READABLE_MAX = 1_000


async def sides_of(stage: Stage) -> dict[str, Service | Peer]:
    """Get both sides, ready."""
    fastapi = await stage.fastapi()
    ours = await stage.service("bench_ours", "api")
    fastapi.wait_until_ready()
    return {"ours": ours, "fastapi": fastapi}


async def measure_creations(stage: Stage, size: Size) -> list[Section]:
    """Compare creations with FastAPI and an ORM: the same rows, one call to payOS each."""
    sides = await sides_of(stage)
    token = (await stage.service("bench_ours")).token

    async def run(side: Service | Peer, requests: list[bytes]) -> Sample:
        return await send_all(
            [side.pid],
            [side.port],
            requests,
            connections=size.connections,
            expected=HTTPStatus.CREATED,
        )

    section = Section(
        "create",
        f"POST /v1/payments, {size.connections} connections,"
        f" {size.rounds} rounds of {size.creates}",
    )
    databases = [side.database for side in sides.values()]
    asked = (size.rounds + 1) * size.creates
    async with stage.growing(databases, TABLES, by=asked):
        section.sides = await take_turns(
            sides,
            size.rounds,
            prepare=lambda _number: messages.creations(
                stage.take(size.creates), size.creates, token
            ),
            run=run,
        )
    section.findings = [
        Finding(what="req/s / fastapi", values=section.ratios("ours", "fastapi"), at_least=1.5)
    ]
    section.notes = [
        "payOS answers at once, beside the load; the peer calls it by httpx, we do over aiohttp"
    ]
    return [section]


async def measure_reads(stage: Stage, size: Size) -> list[Section]:
    """Compare reads with FastAPI and an ORM."""
    sides = await sides_of(stage)
    token = (await stage.service("bench_ours")).token
    known = {side.port: await readable(stage, side, token) for side in sides.values()}
    chooser = random.Random(1)

    async def run(side: Service | Peer, places: list[float]) -> Sample:
        ids = known[side.port]
        requests = messages.reads([ids[int(place * len(ids))] for place in places], token)
        return await send_all(
            [side.pid], [side.port], requests, connections=size.connections, expected=HTTPStatus.OK
        )

    section = Section(
        "get",
        f"GET /v1/payments/{{id}}, {size.connections} connections,"
        f" {size.rounds} rounds of {size.reads}",
    )
    section.sides = await take_turns(
        sides,
        size.rounds,
        prepare=lambda _number: [chooser.random() for _ in range(size.reads)],
        run=run,
    )
    section.findings = [
        Finding(what="req/s / fastapi", values=section.ratios("ours", "fastapi"), at_least=2.0)
    ]
    return [section]


async def readable(stage: Stage, side: Service | Peer, token: str) -> list[str]:
    """Name payments that a side can read; make some where there are none."""
    query = f"SELECT id FROM {side.database}.payments LIMIT {READABLE_MAX}"
    if not stage.mysql.query(query):
        count = 50
        await send_all(
            [side.pid], [side.port], messages.creations(stage.take(count), count, token),
            connections=8, expected=HTTPStatus.CREATED,
        )  # fmt: skip
    return [str(payment_id) for (payment_id,) in stage.mysql.query(query)]
