"""What a forked process does: one role of the service, an operator's command, or the provider."""

import os
import socket
from dataclasses import dataclass

import uvicorn
import uvloop

from payment_service import bootstrap, cli, failpoints
from payment_service.bootstrap import Role, open_service
from payment_service.settings import Settings
from payment_service.telemetry import logging
from payos_simulator.app import create_app
from payos_simulator.config import Config
from tests.chaos.shared import SharedClock, Tally, Trap
from tests.chaos.zygote import Order
from tests.support.service import DATA_KEYS
from tests.support.simulator import ENVIRONMENT, PAYMENT, PAYOUT

PROVIDER = "provider"
AMOUNT_MAX = 10_000_000  # VND; what asks for more is refused by the provider
WEBHOOK_DELAYS_SECONDS = (0, 0.5, 1, 2, 4)
AUTH_SECRET = "a-secret-for-chaos-of-at-least-32-bytes"
ISSUER, AUDIENCE = "chaos", "payment-service"


@dataclass(frozen=True, slots=True)
class Roles:
    """What every process is born with."""

    clock: SharedClock
    tally: Tally
    api_socket: socket.socket
    provider_socket: socket.socket

    def run(self, order: Order) -> int:
        """Be the process that was ordered; return its exit code."""
        if order.role == PROVIDER:
            uvloop.run(self._provide())
            return 0
        failpoints.arm(Trap(self.tally, order.role, order.slot, order.chances))
        if order.role == "operator":
            return cli.main(list(order.arguments), clock=self.clock)
        uvloop.run(self._serve(Role(order.role)))
        return 0

    def warm_up(self) -> None:
        """Do once what every process does at its start: what is loaded then is loaded for all."""
        uvloop.run(self._warm_up())

    async def _warm_up(self) -> None:
        async with open_service(Settings.read(settings("127.0.0.1:1", "127.0.0.1:1", ""))) as idle:
            uvicorn.Config(idle.api(), http="httptools", log_config=None).load()
            idle.relay()
            idle.scheduler()

    async def _serve(self, role: Role) -> None:
        settings = Settings.read(os.environ)
        logging.configure(settings.log_level)
        async with open_service(settings, self.clock) as service:
            await bootstrap.run(service, frozenset({role}), api_socket=self.api_socket)

    async def _provide(self) -> None:
        config = Config(
            payment=PAYMENT,
            payout=PAYOUT,
            public_url="http://provider.test",
            amount_max=AMOUNT_MAX,
            webhook_delays_seconds=WEBHOOK_DELAYS_SECONDS,
        )
        app = create_app(config, clock=self.clock)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, ws="none"))
        await server.serve([self.provider_socket])


def settings(database: str, broker: str, provider_url: str) -> dict[str, str]:
    """Write the environment of a process.

    Args:
        database: `host:port/name` with credentials in front.
        broker: `host:port` and options.
        provider_url: Where payOS is.
    """
    return {
        **ENVIRONMENT,
        "PATH": os.environ.get("PATH", ""),
        "PAYMENTS_DATABASE_URL": f"mysql+asyncmy://{database}",
        "PAYMENTS_BROKER_URL": f"kafka://{broker}",
        "PAYMENTS_PUBLIC_URL": "http://payments.test",
        "PAYMENTS_OPS_PORT": "0",
        "PAYMENTS_AUTH_SECRET": AUTH_SECRET,
        "PAYMENTS_AUTH_ISSUER": ISSUER,
        "PAYMENTS_AUTH_AUDIENCE": AUDIENCE,
        "PAYMENTS_DATA_KEYS": DATA_KEYS,
        "PAYMENTS_LOG_LEVEL": "INFO",
        "PAYOS_BASE_URL": provider_url,
    }
