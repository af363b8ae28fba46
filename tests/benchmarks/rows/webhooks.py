"""Webhooks over HTTP into MySQL: stored with the message that tells of them, then acknowledged."""

from http import HTTPStatus

from tests.benchmarks import messages
from tests.benchmarks.rounds import send_all, take_turns
from tests.benchmarks.samples import Finding, Sample, Section
from tests.benchmarks.size import Size
from tests.benchmarks.stage import Peer, Service, Stage

TABLES = ("webhook_events", "outbox_events")


async def measure(stage: Stage, size: Size) -> list[Section]:
    """Compare with one transaction a request: by hand, and by FastAPI and an ORM."""
    bare = await stage.peer("bare_webhooks", "bench_bare")
    fastapi = await stage.fastapi()
    ours = await stage.service("bench_ours", "api")
    sides: dict[str, Service | Peer] = {"ours": ours, "bare": bare, "fastapi": fastapi}
    for peer in (bare, fastapi):
        peer.wait_until_ready()

    async def run(side: Service | Peer, requests: list[bytes]) -> Sample:
        return await send_all(
            [side.pid], [side.port], requests, connections=size.connections, expected=HTTPStatus.OK
        )

    section = Section(
        "webhook",
        f"POST /v1/webhooks/payos, {size.connections} connections,"
        f" {size.rounds} rounds of {size.webhooks}",
    )
    databases = [side.database for side in sides.values()]
    asked = (size.rounds + 1) * size.webhooks
    async with stage.growing(databases, TABLES, by=asked):
        section.sides = await take_turns(
            sides,
            size.rounds,
            prepare=lambda _number: messages.webhooks(stage.take(size.webhooks), size.webhooks),
            run=run,
        )
    section.findings = [
        Finding(what="req/s / bare", values=section.ratios("ours", "bare"), at_least=1.5),
        Finding(what="p99 / bare", values=section.ratios("ours", "bare", "p99_ms"), at_most=1.0),
        Finding(what="req/s / fastapi", values=section.ratios("ours", "fastapi"), at_least=5.0),
    ]
    return [section]
