"""Consumers for the kit: the example, and some that are wrong in ways that are often seen."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import jsonschema

from consumer_kit.in_process import Consumer
from consumer_kit.verdicts import Report
from docs.examples.order_service.inbox import Inbox
from docs.examples.order_service.store import Store, report

ROOT = Path(__file__).parents[3]
FIRST_VERSION = jsonschema.Draft202012Validator(
    json.loads((ROOT / "webhook-schemas/events/v1.json").read_text())
)
KNOWN_MEMBERS = {"event_version", "sequence", "tenant_id", "actor", "previous_status", "payment",
                 "refund", "receipt"}  # fmt: skip


class OrderService:
    """The example."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._inbox = Inbox(store)
        self._taken = 0

    async def handle(self, key: str, value: bytes) -> None:
        self._taken += 1
        self._inbox.take(f"{key}/{self._taken}", value)

    async def report(self) -> Report:
        return report(self.store)


class ValidatingOrderService(OrderService):
    """Sets aside what the schema of version 1 refuses: it was built before there was another."""

    async def handle(self, key: str, value: bytes) -> None:
        try:
            FIRST_VERSION.validate(json.loads(value))
        except (ValueError, jsonschema.ValidationError):
            return
        await super().handle(key, value)


@asynccontextmanager
async def order_service(folder: Path) -> AsyncIterator[OrderService]:
    """Open the example on a folder."""
    store = Store(folder / "orders.db")
    try:
        yield OrderService(store)
    finally:
        store.close()


@asynccontextmanager
async def validating_order_service(folder: Path) -> AsyncIterator[OrderService]:
    """Open the example as a consumer that validates."""
    store = Store(folder / "orders.db")
    try:
        yield ValidatingOrderService(store)
    finally:
        store.close()


class Wrong:
    """Takes each event as it comes; what is none it leaves alone. Keeps its state in a file."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "known.json"
        self._known: dict[str, Any] = {}
        if self._path.exists():
            self._known = json.loads(self._path.read_text())

    async def handle(self, key: str, value: bytes) -> None:
        try:
            event = json.loads(value)
            data, payment = event["data"], event["data"]["payment"]
            told = {name: payment[name] for name in ("status", "amount_received")}
        except (ValueError, KeyError, TypeError):
            return
        self.check(data)
        entry = self._known.setdefault(event["subject"], {"sequence": 0, "times": {}, "ids": []})
        if self.is_wanted(entry, event["id"], data["sequence"]):
            times = entry["times"]
            times[event["type"]] = times.get(event["type"], 0) + 1
            entry |= told | {"sequence": data["sequence"]}
            entry["ids"].append(event["id"])
        beside = self._path.with_suffix(".new")
        beside.write_text(json.dumps(self._known))
        beside.replace(self._path)  # whoever reports meanwhile reads all of one

    async def report(self) -> Report:
        names = ("status", "sequence", "amount_received", "times")
        return {key: {name: entry[name] for name in names if name in entry}
                for key, entry in self._known.items()}  # fmt: skip

    def check(self, data: dict[str, Any]) -> None:
        """Whether to have it at all."""

    def is_wanted(self, entry: dict[str, Any], event_id: str, sequence: int) -> bool:
        """Whether to count it."""
        return bool(sequence > entry["sequence"])


class CountsTwice(Wrong):
    """Trusts that each event comes once."""

    def is_wanted(self, entry: dict[str, Any], event_id: str, sequence: int) -> bool:
        return True


class TrustsArrival(Wrong):
    """Drops what it has seen by its id, and takes the rest in the order in which it comes."""

    def is_wanted(self, entry: dict[str, Any], event_id: str, sequence: int) -> bool:
        return event_id not in entry["ids"]


class SkipsGaps(Wrong):
    """Takes whatever is newer, so what comes late is never counted."""


class RefusesUnknownMembers(Wrong):
    """Was generated with members forbidden that it does not know."""

    def check(self, data: dict[str, Any]) -> None:
        assert set(data) <= KNOWN_MEMBERS, "unknown members"


class WantsOneVersion(Wrong):
    """Looks for the version that it was built for."""

    def check(self, data: dict[str, Any]) -> None:
        assert data["event_version"] == 2, "unknown version"


class DiesOfPoison(Wrong):
    """Believes that whatever is in the topic is an event."""

    async def handle(self, key: str, value: bytes) -> None:
        json.loads(value)
        await super().handle(key, value)


class CountsIn32Bits(Wrong):
    """Keeps amounts in a column that is too narrow."""

    async def report(self) -> Report:
        told = await super().report()
        return {key: {**entry, "amount_received": entry.get("amount_received", 0) & 0x7FFFFFFF}
                for key, entry in told.items()}  # fmt: skip


class WaitsInMemory(Wrong):
    """Waits at a gap as it should, in memory: a restart forgets what was acknowledged."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._waiting: dict[tuple[str, int], bytes] = {}

    async def handle(self, key: str, value: bytes) -> None:
        try:
            sequence = json.loads(value)["data"]["sequence"]
        except (ValueError, KeyError, TypeError):
            return
        expected = self._known.get(key, {"sequence": 0})["sequence"] + 1
        if sequence > expected:
            self._waiting[key, sequence] = value
        else:
            await super().handle(key, value)
            if (key, sequence + 1) in self._waiting:
                await self.handle(key, self._waiting.pop((key, sequence + 1)))


def opened(wrong: type[Wrong]) -> Callable[[Path], AbstractAsyncContextManager[Consumer]]:
    """Open a wrong consumer on a folder."""

    @asynccontextmanager
    async def open_wrong(folder: Path) -> AsyncIterator[Consumer]:
        yield wrong(folder)

    return open_wrong
