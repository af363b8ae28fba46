"""The command line: the processes of the service, and the levers of its operators.

Exit codes: 0 fine, 1 found something wrong, 2 wrong usage or settings.
"""

import argparse
import json
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any

import uvloop

from payment_service import bootstrap, development
from payment_service.api.auth import issue_token
from payment_service.bootstrap import Role, Service, open_service
from payment_service.domain.errors import InvalidSettings, PaymentServiceError
from payment_service.messaging.broker import BrokerUnavailable
from payment_service.providers.provider import ProviderError, UnknownReference
from payment_service.settings import Settings
from payment_service.storage import audit, invariants, migrate, payments, webhooks
from payment_service.storage.models import WebhookEvent
from payment_service.telemetry import logging, tracing
from payment_service.use_cases.check_payment import check_payment
from payment_service.use_cases.replay_webhook import replay_webhook

FINE, WRONG, USAGE = 0, 1, 2
LIST_MAX = 50
TIMELINE_MAX = 1000
Command = Callable[[Service, argparse.Namespace], Awaitable[int]]


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(uvloop.run(_run(options)))
    except InvalidSettings as error:
        for fault in error.faults:
            print(f"settings: {fault}", file=sys.stderr)
        return USAGE
    except (PaymentServiceError, ProviderError, BrokerUnavailable) as error:
        print(f"payment-service: {error}", file=sys.stderr)
        return WRONG
    finally:
        tracing.flush()


def _run(options: argparse.Namespace) -> Coroutine[Any, Any, int]:
    if options.command == "dev":
        logging.configure(os.environ.get("PAYMENTS_LOG_LEVEL", "WARNING"))
        return _dev()
    settings = Settings.read(os.environ)
    # Commands print their answer; only processes log on standard output.
    is_process = options.command in set(Role)
    logging.configure(settings.log_level, None if is_process else sys.stderr)
    if options.command == "token":
        return _token(settings, options)
    return _with_service(settings, options)


async def _dev() -> int:
    await development.run(os.environ)
    return FINE


async def _with_service(settings: Settings, options: argparse.Namespace) -> int:
    async with open_service(settings) as service:
        if options.command in set(Role):
            await bootstrap.run(service, frozenset({Role(options.command)}))
            return FINE
        command: Command = _COMMANDS[options.command]
        return await command(service, options)


async def _token(settings: Settings, options: argparse.Namespace) -> int:
    if settings.auth.secret is None:
        raise InvalidSettings(["PAYMENTS_AUTH_SECRET is needed to make tokens"])
    token = issue_token(
        secret=settings.auth.secret,
        issuer=settings.auth.issuer,
        audience=settings.auth.audience,
        tenant_id=options.tenant,
        user_id=options.user,
        scope=options.scope,
        lifetime=timedelta(hours=options.hours),
    )
    print(token)
    return FINE


async def _migrate(service: Service, options: argparse.Namespace) -> int:
    if options.down_to is not None:
        await migrate.downgrade(service.database, options.down_to)
        return FINE
    await migrate.upgrade(service.database)
    await service.broker.ensure_topics()
    print("database and topics are up to date")
    return FINE


async def _doctor(service: Service, _options: argparse.Namespace) -> int:
    checks: dict[str, tuple[Callable[[], Awaitable[object]], str]] = {
        "database": (service.database.check, "check PAYMENTS_DATABASE_URL and the server"),
        "schema": (lambda: _schema(service), "run payment-service migrate"),
        "broker": (service.broker.check, "check PAYMENTS_BROKER_URL and the servers"),
        "provider": (lambda: _provider(service), "check the provider's address and credentials"),
    }
    outcome = FINE
    for name, (check, advice) in checks.items():
        try:
            await check()
            print(f"{name:10} fine")
        except (PaymentServiceError, ProviderError, BrokerUnavailable) as error:
            outcome = WRONG
            print(f"{name:10} WRONG  {error}: {advice}")
    return outcome


async def _schema(service: Service) -> None:
    pending = await migrate.pending_revisions(service.database)
    if pending:
        raise PaymentServiceError(f"{len(pending)} migrations to go")


async def _provider(service: Service) -> None:
    """Ask about an order that cannot exist: it moves nothing and proves the credentials."""
    try:
        await service.provider.get_payment(1)
    except UnknownReference:
        return


async def _webhooks(service: Service, options: argparse.Namespace) -> int:
    status = webhooks.DEAD if options.command == "dlq" else getattr(options, "status", None)
    if options.action == "list":
        rows = await service.database.read(
            lambda session: webhooks.list_webhooks(session, status=status, limit=LIST_MAX)
        )
        _print_all(options, [_webhook(row) for row in rows])
        return FINE
    if options.action == "show":
        row = await service.database.read(lambda session: webhooks.get_webhook(session, options.id))
        _print_all(options, [_webhook(row)])
        return FINE
    await replay_webhook(service.database, service.clock, options.id)
    print(f"{options.id} will be applied again")
    return FINE


async def _reconcile(service: Service, options: argparse.Namespace) -> int:
    """Ask the provider about payments now, instead of when they are due."""
    await service.database.transact(
        "reconcile.make_due",
        lambda session: payments.make_due(session, options.payment_id, now=service.clock()),
    )
    await check_payment(service.database, service.provider, service.clock, options.payment_id)
    print(f"{options.payment_id} was compared with the provider")
    return FINE


async def _audit(service: Service, options: argparse.Namespace) -> int:
    violations = await service.database.read(
        lambda session: invariants.find_violations(session, now=service.clock())
    )
    _print_all(options, [{"invariant": name, "id": row} for name, row in violations])
    return WRONG if violations else FINE


async def _timeline(service: Service, options: argparse.Namespace) -> int:
    rows = await service.database.read(
        lambda session: audit.list_entries(session, options.payment_id, after=0, limit=TIMELINE_MAX)
    )
    entries = [
        {
            "at": row.at,
            "action": row.action,
            "status": row.to_status,
            "amount": row.amount,
            "actor": f"{row.actor}:{row.actor_id}",
            "reason": row.reason,
        }
        for row in rows
    ]
    _print_all(options, entries)
    return FINE if entries else WRONG


async def _confirm_webhook(service: Service, options: argparse.Namespace) -> int:
    await service.provider.register_webhook(options.url)
    print(f"{service.provider.name} will send webhooks to {options.url}")
    return FINE


_COMMANDS: dict[str, Command] = {
    "migrate": _migrate,
    "doctor": _doctor,
    "webhooks": _webhooks,
    "dlq": _webhooks,
    "reconcile": _reconcile,
    "audit": _audit,
    "timeline": _timeline,
    "confirm-webhook": _confirm_webhook,
}


def _webhook(row: WebhookEvent) -> dict[str, Any]:
    return {
        "id": row.id,
        "status": row.status,
        "reason": row.reason,
        "received_at": row.received_at,
        "payment_id": row.payment_id,
        "attempts": row.attempts,
    }


def _print_all(options: argparse.Namespace, entries: list[dict[str, Any]]) -> None:
    if options.json:
        print(json.dumps(entries, default=_plain, indent=1))
        return
    for entry in entries:
        print("  ".join(f"{_plain(value)}" for value in entry.values() if value is not None))


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="payment-service", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("api", help="serve the API")
    commands.add_parser("relay", help="publish what waits in the outbox")
    commands.add_parser("consumer", help="apply webhooks")
    commands.add_parser("scheduler", help="look after what is due")
    commands.add_parser("dev", help="all of it in one process, with a simulated payOS")
    _add_operator_commands(commands)
    return parser


def _add_operator_commands(commands: Any) -> None:
    command = commands.add_parser("migrate", help="bring the database and the topics up to date")
    command.add_argument("--down-to", metavar="REVISION", help="go back instead")
    command = commands.add_parser("token", help="make a token with PAYMENTS_AUTH_SECRET")
    command.add_argument("--tenant", default="dev")
    command.add_argument("--user", default="operator")
    command.add_argument("--scope", default=development.SCOPES)
    command.add_argument("--hours", type=int, default=24)
    commands.add_parser("doctor", help="check settings, database, broker and provider")
    for name, about in (("webhooks", "stored webhooks"), ("dlq", "webhooks set aside")):
        actions = commands.add_parser(name, help=about).add_subparsers(
            dest="action", required=True, metavar="ACTION"
        )
        listing = actions.add_parser("list", help="the newest fifty")
        listing.add_argument("--json", action="store_true")
        for action in ("show", "replay"):
            command = actions.add_parser(action)
            command.add_argument("id", metavar="WEBHOOK_ID")
            command.add_argument("--json", action="store_true")
    command = commands.add_parser("reconcile", help="compare a payment with the provider now")
    command.add_argument("payment_id", metavar="PAYMENT_ID")
    command = commands.add_parser("audit", help="check that all money adds up")
    command.add_argument("--json", action="store_true")
    command = commands.add_parser("timeline", help="explain a payment")
    command.add_argument("payment_id", metavar="PAYMENT_ID")
    command.add_argument("--json", action="store_true")
    command = commands.add_parser(
        "confirm-webhook", help="register the webhook URL at the provider"
    )
    command.add_argument("url", metavar="URL")
