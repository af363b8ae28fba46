"""The command line: the processes of the service, and the levers of its operators.

Exit codes: 0 fine, 1 found something wrong, 2 wrong usage or settings.
"""

import argparse
import os
import sys
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import uvloop

from payment_service import bootstrap, development
from payment_service.api.auth import issue_token
from payment_service.bootstrap import Role, open_service
from payment_service.commands import (
    audit,
    doctor,
    exceptions,
    reconcile,
    timeline,
    upkeep,
    webhooks,
)
from payment_service.commands.command import FINE, USAGE, WRONG, Run
from payment_service.domain.clock import Clock, system_clock
from payment_service.domain.errors import InvalidSettings, PaymentServiceError, SchemaAhead
from payment_service.messaging.broker import BrokerUnavailable
from payment_service.providers.provider import ProviderError
from payment_service.settings import Settings
from payment_service.telemetry import logging, tracing

COMMANDS = (upkeep, doctor, webhooks, exceptions, reconcile, audit, timeline)


def main(arguments: list[str] | None = None, *, clock: Clock = system_clock) -> int:
    """Run a command and return its exit code."""
    options = parser().parse_args(arguments)
    try:
        return int(uvloop.run(_run(options, clock)))
    except InvalidSettings as error:
        for fault in error.faults:
            print(f"settings: {fault}", file=sys.stderr)
        return USAGE
    except (PaymentServiceError, SchemaAhead, ProviderError, BrokerUnavailable) as error:
        print(f"payment-service: {error}", file=sys.stderr)
        return WRONG
    finally:
        tracing.flush()


def _run(options: argparse.Namespace, clock: Clock) -> Coroutine[Any, Any, int]:
    if options.command == "dev":
        logging.configure(os.environ.get("PAYMENTS_LOG_LEVEL", "WARNING"))
        return _dev()
    settings = Settings.read(os.environ)
    # Commands print their answer; only processes log on standard output.
    is_process = options.command in set(Role)
    logging.configure(settings.log_level, None if is_process else sys.stderr)
    if options.command == "token":
        return _token(settings, options)
    return _with_service(settings, options, clock)


async def _dev() -> int:
    await development.run(os.environ)
    return FINE


async def _with_service(settings: Settings, options: argparse.Namespace, clock: Clock) -> int:
    async with open_service(settings, clock) as service:
        if options.command in set(Role):
            await bootstrap.run(service, frozenset({Role(options.command)}))
            return FINE
        run: Run = options.run
        return await run(service, options)


async def _token(settings: Settings, options: argparse.Namespace) -> int:
    if settings.auth.secret is None:
        raise InvalidSettings(["PAYMENTS_AUTH_SECRET is needed to make tokens"])
    if options.hours > settings.auth.lifetime_hours:
        raise InvalidSettings([f"tokens are good for {settings.auth.lifetime_hours} hours at most"])
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


def parser() -> argparse.ArgumentParser:
    """Build the parser; an operator's command leaves the function that carries it out in `run`."""
    arguments = argparse.ArgumentParser(prog="payment-service", description=__doc__)
    commands = arguments.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("api", help="serve the API")
    commands.add_parser("relay", help="publish what waits in the outbox")
    commands.add_parser("consumer", help="apply webhooks")
    commands.add_parser("scheduler", help="look after what is due")
    commands.add_parser("dev", help="all of it in one process, with a simulated provider")
    _add_token(commands)
    for module in COMMANDS:
        module.add_to(commands)
    return arguments


def _add_token(commands: Any) -> None:
    command = commands.add_parser("token", help="make a token with PAYMENTS_AUTH_SECRET")
    command.add_argument("--tenant", default="dev")
    command.add_argument("--user", default="operator")
    command.add_argument("--scope", default=development.SCOPES)
    command.add_argument("--hours", type=int, default=24)
