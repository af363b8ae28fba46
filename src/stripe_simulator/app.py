"""The simulator as an ASGI application: the API, and the checkout page that takes the card."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from payos_simulator.faults import Fault, FaultyNetwork
from payos_simulator.state import Keeper
from stripe_simulator.admin import Admin
from stripe_simulator.api import Api
from stripe_simulator.books import Books, Ledger
from stripe_simulator.checkout import Checkout
from stripe_simulator.config import Config
from stripe_simulator.objects import Objects
from stripe_simulator.webhooks import Webhooks


def system_clock() -> datetime:
    """Return the current instant in UTC."""
    return datetime.now(UTC)


def create_app(config: Config, *, clock: Callable[[], datetime] = system_clock) -> Any:
    """Build the application."""
    ledger = Ledger(_books(config), clock)
    http = httpx.AsyncClient(trust_env=False)
    webhooks = Webhooks(config, ledger, http)
    objects = Objects(ledger, config.public_url)
    faults: list[Fault] = []

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        keeper = Keeper(config.state_path, ledger.books)
        ledger.on_change = keeper.note
        keeping = asyncio.create_task(keeper.run())
        try:
            yield
        finally:
            await webhooks.close()
            await http.aclose()
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    app = Starlette(
        lifespan=lifespan,
        routes=[
            Route("/", home),
            *Api(config, ledger, objects, webhooks).routes(),
            *Checkout(ledger, objects, webhooks).routes(),
            *Admin(ledger, objects, webhooks, faults).routes(),
        ],
    )
    # Stripe signs no answers, so there is nothing to sign anew.
    return FaultyNetwork(app, faults, lambda _envelope, _headers: {})


def _books(config: Config) -> Books:
    """Read the books, or open new ones."""
    path = config.state_path
    if path is not None and path.is_file():
        books = msgspec.json.decode(path.read_bytes(), type=Books)
    else:
        books = Books(balance=config.balance)
    if books.webhook_url is None:
        books.webhook_url = config.webhook_url
    return books


async def home(_request: Request) -> Response:
    """Say what this is."""
    return PlainTextResponse("A simulator of Stripe. Nothing here moves money.\n")


def create_app_from_environment() -> Any:
    """Build the application from the STRIPE_* environment."""
    return create_app(Config.from_environment(os.environ))
