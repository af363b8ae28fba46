"""A service with odd money and dead letters, and its operators' port on a real socket."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from payment_service.bootstrap import ALL_ROLES
from tests.support.odd_money import FOREIGN_LINK, PRICE, OddMoney
from tests.support.process import free_port, wait_until
from tests.support.service import Harness, environment, running_service
from tests.support.simulator import Simulator

TOKEN = "a-token-for-the-console-of-32-bytes-and-more"
NAME = "anh"


@dataclass
class Console:
    """The console of a service."""

    service: Harness
    desk: OddMoney
    url: str

    @property
    def origin(self) -> dict[str, str]:
        """What a browser says when the page itself asks."""
        return {"origin": self.url, "sec-fetch-site": "same-origin"}

    def client(self, **options: Any) -> httpx.AsyncClient:
        """Make a client that nobody knows yet."""
        return httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=30, **options)

    async def sign_in(
        self, client: httpx.AsyncClient, token: str = TOKEN, name: str = NAME
    ) -> httpx.Response:
        """Sign in as the page does."""
        body = {"name": name, "token": token}
        return await client.post("/console/session", json=body, headers=self.origin)

    async def dead_letter(self, **payer: str) -> str:
        """Have a webhook given up; return its id."""
        payment = await self.desk.paid(PRICE)
        foreign = {"paymentLinkId": FOREIGN_LINK, "reference": "FT-of-another-link"}
        await self.desk.tell(payment, **foreign, **payer)
        async with self.client() as client:
            await self.sign_in(client)
            listed = (await client.get("/console/webhooks")).json()["webhooks"]
        return str(listed[0]["id"])


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/livez", trust_env=False).is_success
    except httpx.HTTPError:
        return False


@pytest.fixture
async def console(simulator: Simulator, tmp_path: Path) -> AsyncIterator[Console]:
    database = f"sqlite+aiosqlite:///{tmp_path}/payments.db"
    settings = environment(database, simulator.environment | {"PAYMENTS_OPS_TOKEN": TOKEN})
    async with running_service(settings) as service:
        config = uvicorn.Config(
            service.service.ops(ALL_ROLES), port=free_port(), log_config=None, access_log=False,
            ws="none", lifespan="off",
        )  # fmt: skip
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        url = f"http://127.0.0.1:{config.port}"
        await asyncio.to_thread(wait_until, lambda: answers(url), what="the port is open")
        desk = OddMoney(service, simulator)
        yield Console(service, desk, url)
        server.should_exit = True
        await serving
        await service.settle()
        assert await service.violations() == []


@pytest.fixture
async def operator(console: Console) -> AsyncIterator[httpx.AsyncClient]:
    """A client that has signed in."""
    async with console.client(headers=console.origin) as client:
        assert (await console.sign_in(client)).status_code == 204
        yield client
