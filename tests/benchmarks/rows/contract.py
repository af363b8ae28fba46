"""The contract over HTTP: POST /v1/payments without storage, against bare Starlette and msgspec."""

from http import HTTPStatus

from tests.benchmarks import messages
from tests.benchmarks.rounds import send_all, take_turns
from tests.benchmarks.samples import Finding, Sample, Section
from tests.benchmarks.size import Size
from tests.benchmarks.stage import Peer, Stage

ADDED_US_MAX = 25.0


async def measure(stage: Stage, size: Size) -> list[Section]:
    """Compare."""
    sides = {
        "ours": await stage.peer("our_contract"),
        "bare": await stage.peer("bare_contract"),
        "fastapi": await stage.peer("fastapi_contract"),
    }
    for side in sides.values():
        side.wait_until_ready()

    async def run(side: Peer, requests: list[bytes]) -> Sample:
        return await send_all(
            [side.pid],
            [side.port],
            requests,
            connections=size.connections,
            expected=HTTPStatus.CREATED,
        )

    section = Section(
        "contract",
        f"POST /v1/payments without storage, {size.connections} connections,"
        f" {size.rounds} rounds of {size.contract}",
    )
    section.sides = await take_turns(
        sides,
        size.rounds,
        prepare=lambda _number: messages.creations(
            stage.take(size.contract), size.contract, "token"
        ),
        run=run,
    )
    ours, bare = (section.measured(side, "cpu_us") for side in ("ours", "bare"))
    added = [one - other for one, other in zip(ours, bare, strict=True)]
    section.findings = [
        Finding(what="req/s / bare", values=section.ratios("ours", "bare"), at_least=0.70),
        Finding(what="CPU added to bare", values=added, unit="us", at_most=ADDED_US_MAX),
        Finding(what="req/s / fastapi", values=section.ratios("ours", "fastapi")),
    ]
    return [section]
