"""The simulator as an ASGI application: both channels of payOS, and a checkout page."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from payos_simulator import state
from payos_simulator.admin import Admin
from payos_simulator.checkout import Checkout
from payos_simulator.config import Config
from payos_simulator.envelope import signer_of
from payos_simulator.faults import Fault, FaultyNetwork
from payos_simulator.ledger import Ledger, system_clock
from payos_simulator.payment_api import PaymentApi
from payos_simulator.payout_api import PayoutApi
from payos_simulator.webhooks import Webhooks


def create_app(config: Config, *, clock: Callable[[], datetime] = system_clock) -> Any:
    """Build the application."""
    ledger = Ledger(state.load(config), clock)
    http = httpx.AsyncClient(trust_env=False)
    webhooks = Webhooks(config, ledger, http)
    payments = PaymentApi(config, ledger, webhooks)
    payouts = PayoutApi(config, ledger)
    faults: list[Fault] = []

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        keeper = state.Keeper(config.state_path, ledger.books)
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
            *payments.routes(),
            *payouts.routes(),
            *Checkout(ledger, webhooks, payments).routes(),
            *Admin(ledger, webhooks, payouts, faults).routes(),
        ],
    )
    return FaultyNetwork(app, faults, signer_of(config.payment, config.payout))


async def home(_request: Request) -> Response:
    """Say what this is."""
    return PlainTextResponse("A simulator of payOS. Nothing here moves money.\n")


def create_app_from_environment() -> Any:
    """Build the application from the PAYOS_* environment."""
    return create_app(Config.from_environment(os.environ))
