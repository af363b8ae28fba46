"""The service in this process: its API without a socket, its workers one step at a time."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from payment_service.api.auth import issue_token
from payment_service.bootstrap import Service, open_service
from payment_service.domain.clock import Clock, OffsetClock
from payment_service.messaging import topics
from payment_service.messaging.memory import MemoryBroker
from payment_service.settings import Settings
from payment_service.storage import invariants, migrate
from payment_service.storage.sealing import Keyring
from tests.support.units import UnitWatch

SECRET = "a-secret-for-tests-of-at-least-32-bytes"
DATA_KEYS = f"tests:{'A' * 43}="  # 32 bytes of nothing
KEYRING = Keyring.parse(DATA_KEYS)
ISSUER, AUDIENCE = "tests", "payment-service"
SCOPES = "payments:read payments:write refunds:write exceptions:write"
STEPS_MAX = 200
_numbers = itertools.count(1)


def token(tenant: str = "shop", scope: str = SCOPES, **changes: Any) -> str:
    """Make a bearer token."""
    options = {
        "secret": SECRET, "issuer": ISSUER, "audience": AUDIENCE, "tenant_id": tenant,
        "user_id": "tester", "scope": scope, "lifetime": timedelta(hours=1),
    }  # fmt: skip
    return issue_token(**(options | changes))


def environment(database_url: str, more: Mapping[str, str]) -> dict[str, str]:
    """Write the settings of a service under test."""
    return {
        "PAYMENTS_DATABASE_URL": database_url,
        "PAYMENTS_AUTH_SECRET": SECRET,
        "PAYMENTS_AUTH_ISSUER": ISSUER,
        "PAYMENTS_AUTH_AUDIENCE": AUDIENCE,
        "PAYMENTS_PUBLIC_URL": "http://payments.test",
        "PAYMENTS_DATA_KEYS": DATA_KEYS,
        **more,
    }


class Harness:
    """A service, a client of its API, and the means to let its workers work."""

    def __init__(
        self, service: Service, http: httpx.AsyncClient, clock: OffsetClock, units: UnitWatch
    ) -> None:
        self.service = service
        self.units = units
        self.http = http
        self.clock = clock
        self._relay = service.relay()
        self._scheduler = service.scheduler()

    async def settle(self) -> None:
        """Let the workers work until nothing is left to do now."""
        for _ in range(STEPS_MAX):
            if await self.step() == 0:
                return
        raise AssertionError("the workers never come to rest")

    async def step(self) -> int:
        """Let each worker do what is to be done now; return how much that was."""
        return await self._relay.run_once() + await self._scheduler.run_once()

    async def advance(self, seconds: float) -> None:
        """Let time pass, and the workers do what is due then."""
        self.clock.advance(timedelta(seconds=seconds))
        await self.settle()

    async def request(
        self, method: str, path: str, body: Any = None, *, key: str | None = None,
        tenant: str = "shop", **options: Any,
    ) -> httpx.Response:  # fmt: skip
        """Call the API as a tenant; a POST gets a key of its own unless one is given."""
        headers = {"Authorization": f"Bearer {token(tenant)}"} | options.pop("headers", {})
        if method == "POST":
            headers["Idempotency-Key"] = key or f"key-{next(_numbers)}"
        return await self.http.request(method, path, json=body, headers=headers, **options)

    async def create(self, amount: int = 45_000, **changes: Any) -> dict[str, Any]:
        """Create a payment."""
        response = await self.request("POST", "/v1/payments", order(amount, **changes))
        assert response.status_code == 201, response.text
        return dict(response.json())

    async def get(self, payment_id: str) -> dict[str, Any]:
        """Read a payment."""
        response = await self.request("GET", f"/v1/payments/{payment_id}")
        assert response.status_code == 200, response.text
        return dict(response.json())

    async def deliver(self, webhook: Mapping[str, Any]) -> httpx.Response:
        """Post a webhook, and let it be applied."""
        response = await self.http.post("/v1/webhooks/payos", json=dict(webhook))
        await self.settle()
        return response

    async def violations(self) -> list[tuple[str, str]]:
        """Look for money that does not add up."""
        return await self.service.database.read(
            lambda session: invariants.find_violations(session, now=self.clock())
        )

    def events(self) -> list[dict[str, Any]]:
        """Read the published events, in order."""
        messages = [m for m in self.published.published if m.topic == topics.EVENTS]
        return [json.loads(message.value) for message in messages]

    @property
    def published(self) -> MemoryBroker:
        """The broker, with what was published."""
        broker = self.service.broker
        assert isinstance(broker, MemoryBroker)
        return broker


def order(amount: int = 45_000, **changes: Any) -> dict[str, Any]:
    """Write a valid request for a payment."""
    return {
        "amount": amount,
        "currency": "VND",
        "order_reference": f"order-{next(_numbers)}",
        "return_url": "https://shop.example/thanks",
        "cancel_url": "https://shop.example/cart",
    } | changes


def stepping_clock() -> Clock:
    """Make a clock that tests can rely on: each look at it takes a millisecond, nothing else does.

    So no instant comes twice, and a slow machine is none that waits.
    """
    started = datetime.now(UTC)
    looks = itertools.count()
    return lambda: started + timedelta(milliseconds=next(looks))


@asynccontextmanager
async def running_service(settings: Mapping[str, str]) -> AsyncIterator[Harness]:
    """Open a service on a migrated database, with its consumer listening."""
    clock = OffsetClock(stepping_clock())
    async with open_service(Settings.read(settings), clock) as service:
        await migrate.upgrade(service.database)
        units = UnitWatch(service.database, service.provider)
        consuming = asyncio.create_task(service.consumer().run(service.subscriber))
        await asyncio.sleep(0)  # one turn of the loop: the consumer subscribes
        transport = httpx.ASGITransport(service.api(), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://payments.test") as http:
            yield Harness(service, http, clock, units)
        consuming.cancel()
        await asyncio.gather(consuming, return_exceptions=True)
        assert units.found == [], "a provider was called inside a unit of work"
