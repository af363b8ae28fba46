"""Growth: the same work on a small and on a large history takes the same time."""

import random
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TypeVar

from payment_service.messaging import topics
from tests.benchmarks import messages, seeds
from tests.benchmarks.rounds import send_all, take_turns, tell
from tests.benchmarks.rows.consumer import Applier, apply_all
from tests.benchmarks.rows.relay import Carrier, empty_outbox
from tests.benchmarks.samples import Finding, Sample, Section
from tests.benchmarks.size import Size
from tests.benchmarks.stage import Service, Stage

TIME_MAX = 1.2
SMALL, LARGE = "small", "large"
Work = TypeVar("Work")


async def measure(stage: Stage, size: Size) -> list[Section]:
    """Compare both histories in each kind of work."""
    rows = {SMALL: size.rows_small, LARGE: size.rows_large}
    sides: dict[str, Service] = {}
    for name, count in rows.items():
        tell(f"{name}: making {count:,} rows in each table ...")
        sides[name] = await stage.service(f"bench_{name}")
        seeds.history(stage.mysql, f"bench_{name}", count)
    work = _Work(stage, size, sides, rows)
    # In this order nobody finds work in the outbox or in a topic that is another's.
    sections = [await work.consumer(), await work.relay()]
    sections += [await work.webhooks(), await work.creations(), await work.reads()]
    for section in sections:
        slower = section.ratios(SMALL, LARGE)
        section.findings = [Finding(what="time large / small", values=slower, at_most=TIME_MAX)]
    for side in sides.values():
        side.end("api")
    return sections


class _Work:
    """The kinds of work, each done by both sides."""

    def __init__(
        self, stage: Stage, size: Size, sides: dict[str, Service], rows: dict[str, int]
    ) -> None:
        self._stage = stage
        self._size = size
        self._sides = sides
        self._rows = rows
        self._title = f"on {rows[SMALL]:,} and {rows[LARGE]:,} rows in each table"

    async def consumer(self) -> Section:
        """Apply webhooks, by one side at a time: both would be members of one group."""
        section = Section("g consumer", f"webhooks applied {self._title}", "webhooks/s")
        count = self._size.applied
        for name, side in self._sides.items():
            await self._stage.service(side.database, "consumer")
            pid = side.pid_of("consumer")
            applier = Applier(side.database, pid, topics.WEBHOOKS, sealed=True)
            samples = [
                await apply_all(self._stage, applier, self._stage.take(count), count)
                for _ in range(self._size.rounds + 1)
            ]
            tell(f"{name}: {samples[-1].rate:,.0f}/s")
            section.sides[name] = samples[1:]
            side.end("consumer")
        section.notes = ["one side after the other, not in turns"]
        return section

    async def relay(self) -> Section:
        """Empty the outbox."""
        count = self._size.relayed // 2

        async def run(side: Service, first: int) -> Sample:
            carrier = Carrier(side.database, side.pid_of("relay"))
            return empty_outbox(self._stage, carrier, first, count)

        for side in self._sides.values():
            await self._stage.service(side.database, "relay", "api")
        section = Section("g relay", f"messages to Kafka {self._title}", "events/s")
        section = await self._turns(section, lambda: self._stage.take(count), run)
        for side in self._sides.values():
            side.end("relay")
        return section

    async def webhooks(self) -> Section:
        """Store webhooks."""
        count = self._size.webhooks // 2

        async def run(side: Service, requests: list[bytes]) -> Sample:
            return await self._send(side, requests, HTTPStatus.OK)

        section = Section("g webhook", f"POST /v1/webhooks/payos {self._title}")
        return await self._turns(
            section, lambda: messages.webhooks(self._stage.take(count), count), run
        )

    async def creations(self) -> Section:
        """Create payments."""
        count = self._size.creates // 2
        token = self._sides[SMALL].token

        async def run(side: Service, requests: list[bytes]) -> Sample:
            return await self._send(side, requests, HTTPStatus.CREATED)

        section = Section("g create", f"POST /v1/payments {self._title}")
        return await self._turns(
            section, lambda: messages.creations(self._stage.take(count), count, token), run
        )

    async def reads(self) -> Section:
        """Read payments anywhere in the history."""
        count, chooser = self._size.reads // 2, random.Random(3)
        rows = {self._sides[name].database: many for name, many in self._rows.items()}

        async def run(side: Service, places: list[float]) -> Sample:
            many = rows[side.database]
            ids = [messages.payment_id(1 + int(place * many)) for place in places]
            return await self._send(side, messages.reads(ids, side.token), HTTPStatus.OK)

        section = Section("g get", f"GET /v1/payments/{{id}} {self._title}")
        return await self._turns(section, lambda: [chooser.random() for _ in range(count)], run)

    async def _turns(
        self,
        section: Section,
        prepare: Callable[[], Work],
        run: Callable[[Service, Work], Awaitable[Sample]],
    ) -> Section:
        tell(section.title)
        section.sides = await take_turns(
            self._sides, self._size.rounds, prepare=lambda _number: prepare(), run=run
        )
        return section

    async def _send(self, side: Service, requests: list[bytes], expected: HTTPStatus) -> Sample:
        await self._stage.service(side.database, "api")
        connections = self._size.connections
        return await send_all(
            [side.pid], [side.port], requests, connections=connections, expected=expected
        )
