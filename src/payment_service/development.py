"""`payment-service dev`: everything in one process, with SQLite and a simulated provider."""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx

from payment_service import bootstrap
from payment_service.api.auth import issue_token
from payment_service.bootstrap import ALL_ROLES, Listener, Service, Workers, open_service
from payment_service.domain.clock import OffsetClock
from payment_service.settings import Settings
from payment_service.storage import migrate
from payment_service.storage.sealing import new_key
from payment_service.workers import ports
from payment_service.workers.dev_clock import DevClock
from payment_service.workers.ops_server import AsgiApp

SCOPES = "payments:read payments:write refunds:write exceptions:write"
DATA_KEYS = "var/data-keys"
TOKEN_LIFETIME = timedelta(days=7)
SIMULATOR_SECONDS = 5.0  # that it may take to answer


@dataclass(frozen=True, slots=True)
class Simulator:
    """A provider to develop with, which has an admin API, and settings that begin with its name."""

    title: str
    app: str  # by name: it is no part of us
    credentials: Mapping[str, str]

    @property
    def prefix(self) -> str:
        """What its settings begin with."""
        return f"{self.title.upper()}_"


PAYOS = Simulator(
    "payOS",
    "payos_simulator.app:create_app_from_environment",
    {
        "PAYOS_CLIENT_ID": "dev-client",
        "PAYOS_API_KEY": "dev-api-key",
        "PAYOS_CHECKSUM_KEY": "dev-checksum-key",
        "PAYOS_PAYOUT_CLIENT_ID": "dev-payout-client",
        "PAYOS_PAYOUT_API_KEY": "dev-payout-api-key",
        "PAYOS_PAYOUT_CHECKSUM_KEY": "dev-payout-checksum-key",
    },
)
STRIPE = Simulator(
    "Stripe",
    "stripe_simulator.app:create_app_from_environment",
    {"STRIPE_SECRET_KEY": "sk_test_dev", "STRIPE_WEBHOOK_SECRET": "whsec_dev"},
)


def simulator_of(environ: Mapping[str, str]) -> Simulator:
    """Choose the simulator of the provider."""
    return STRIPE if environ.get("PAYMENTS_PROVIDER") == "stripe" else PAYOS


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Complete the environment with what development needs; what is set stays."""
    simulator = simulator_of(environ)
    name, prefix = simulator.title.lower(), simulator.prefix
    port = environ.get("PAYMENTS_PORT", "8000")
    simulator_port = environ.get(f"{prefix}SIMULATOR_PORT", "8100")
    # What is known to one provider is nothing to another: each has data, and a time, of its own.
    kept = "" if simulator is PAYOS else f"{name}-"
    defaults = {
        "PAYMENTS_DATABASE_URL": f"sqlite+aiosqlite:///var/{kept}payments.db",
        "PAYMENTS_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "PAYMENTS_AUTH_SECRET": secrets.token_urlsafe(32),
        "PAYMENTS_AUTH_ISSUER": "payment-service-dev",
        "PAYMENTS_AUTH_AUDIENCE": "payment-service",
        "PAYMENTS_AUTH_LIFETIME_HOURS": str(TOKEN_LIFETIME // timedelta(hours=1)),
        "PAYMENTS_OPS_TOKEN": secrets.token_urlsafe(24),
        "PAYMENTS_LOG_LEVEL": "WARNING",
        "PAYMENTS_DEV_CLOCK_STATE": f"var/{kept}dev-clock-seconds",
        f"{prefix}SIMULATOR_PORT": simulator_port,
        f"{prefix}SIMULATOR_PUBLIC_URL": f"http://127.0.0.1:{simulator_port}",
        f"{prefix}SIMULATOR_STATE": f"var/{name}-simulator.json",
        f"{prefix}SIMULATOR_WEBHOOK_URL": f"http://127.0.0.1:{port}/v1/webhooks/{name}",
        f"{prefix}BASE_URL": f"http://127.0.0.1:{simulator_port}",
    }
    return {**defaults, **simulator.credentials, **environ}


async def run(environ: Mapping[str, str]) -> None:
    """Migrate, start everything, and say how to try it."""
    complete = environment(environ)
    if not {"PAYMENTS_DATA_KEYS", "PAYMENTS_DATA_KEYS_FILE"} & complete.keys():
        complete["PAYMENTS_DATA_KEYS"] = _kept_keys(Path(DATA_KEYS))
    os.environ.update(complete)  # the simulator reads its own settings
    settings = Settings.read(complete)
    simulator = simulator_of(complete)
    port_name = f"{simulator.prefix}SIMULATOR_PORT"
    port = int(complete[port_name])
    addresses = settings.addresses(is_api=True) | {port_name: ("127.0.0.1", port)}
    ports.require_free(addresses)
    clock = KeptClock(Path(complete["PAYMENTS_DEV_CLOCK_STATE"]))
    bank = f"http://127.0.0.1:{port}"
    beside = (Listener(simulator.app, "127.0.0.1", port),)

    def before_ops(app: AsgiApp, workers: Workers) -> AsgiApp:
        return dev_clock(app, service, workers, clock, bank)

    async with open_service(settings, clock) as service:
        await migrate.upgrade(service.database)
        await service.broker.ensure_topics()
        print(welcome(settings, complete), flush=True)  # noqa: T201  # what the newcomer reads
        await bootstrap.run(service, ALL_ROLES, beside=beside, before_ops=before_ops)


class KeptClock(OffsetClock):
    """A clock that a restart does not set back: the data would be of the future."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        if path.is_file():
            super().advance(timedelta(seconds=float(path.read_text())))

    def advance(self, by: timedelta) -> None:
        """Move on, and remember it."""
        super().advance(by)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(str(self.offset.total_seconds()))


def dev_clock(
    app: AsgiApp, service: Service, workers: Workers, clock: OffsetClock, bank: str
) -> AsgiApp:
    """Put the clock before the operators' port; `bank` is the simulator's address."""

    async def advance_bank(by: timedelta) -> None:
        try:
            async with httpx.AsyncClient(
                base_url=bank, timeout=SIMULATOR_SECONDS, trust_env=False
            ) as http:
                body = {"advance_seconds": by.total_seconds()}
                (await http.post("/_admin/clock", json=body)).raise_for_status()
        except httpx.HTTPError as error:
            raise ConnectionError("the simulator did not move its clock") from error

    return DevClock(
        app,
        clock=clock,
        advance_bank=advance_bank,
        database=service.database,
        relay=workers.relay,
        scheduler=workers.scheduler,
    )


def _kept_keys(path: Path) -> str:
    """Read the keys that people's data are sealed with, or make one that lasts as the data do."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(new_key())
    return path.read_text()


def welcome(settings: Settings, environ: Mapping[str, str]) -> str:
    """Say where everything is, with a token and one line to paste."""
    auth, simulator = settings.auth, simulator_of(environ)
    token = issue_token(
        secret=auth.secret or "",
        issuer=auth.issuer,
        audience=auth.audience,
        tenant_id="dev",
        user_id="you",
        scope=SCOPES,
        lifetime=TOKEN_LIFETIME,
    )
    return f"""
  Payment service   {settings.public_url}/v1/health
  Its documentation {settings.public_url}/docs
  {simulator.title + " simulator":<17} {environ[f"{simulator.prefix}SIMULATOR_PUBLIC_URL"]}
  Operators' port   http://127.0.0.1:{settings.ops_port}/readyz, /metrics
  Console           http://127.0.0.1:{settings.ops_port}/console
                    with the token {settings.ops_token}

  In another terminal, a token for seven days:
    export TOKEN={token}

  Create a payment, then open its checkout_url and pay:
    curl -sw '\\n' {settings.public_url}/v1/payments \\
      -H "Authorization: Bearer $TOKEN" \\
      -H "Idempotency-Key: $(date +%s%N)" \\
      -H "Content-Type: application/json" \\
      -d '{{"amount": 45000, "currency": "VND", "order_reference": "order-'$(date +%s)'",
           "return_url": "https://shop.example/thanks", "cancel_url": "https://shop.example/cart"}}'

  See that it is paid:
    curl -sw '\\n' "{settings.public_url}/v1/payments?limit=1" -H "Authorization: Bearer $TOKEN"

  Let a quarter of an hour pass, in which what nobody paid expires:
    curl -sw '\\n' http://127.0.0.1:{settings.ops_port}/dev/clock \\
      -H "Content-Type: application/json" -d '{{"advance_seconds": 900}}'

  Ctrl-C stops everything; the data stays in var/.
"""
