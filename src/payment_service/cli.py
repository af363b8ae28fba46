"""The command line: the processes of the service, and the levers of its operators."""

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
from payment_service.domain.errors import (
    InvalidSettings,
    PaymentServiceError,
    SchemaAhead,
    StorageUnavailable,
)
from payment_service.messaging.broker import BrokerUnavailable
from payment_service.providers.provider import ProviderError
from payment_service.settings import Settings
from payment_service.telemetry import logging, tracing
from payment_service.workers import ports

DESCRIPTION = "The processes of the payment service, and the levers of its operators."
EPILOG = """\
to try it:    payment-service dev
to run it:    payment-service migrate, then any number of api, relay, consumer, scheduler
to check it:  payment-service doctor
settings:     from the environment, docs/reference/settings.md
exit codes:   0 fine, 1 found something wrong, 2 wrong usage or settings
"""
# What to do next about what a command could not do.
SETTINGS_ADVICE = "docs/reference/settings.md has them all; payment-service dev needs none"
DOCTOR_ADVICE = "payment-service doctor tells what is wrong and what to do"

EXPECTED = (
    InvalidSettings,
    PaymentServiceError,
    SchemaAhead,
    ProviderError,
    BrokerUnavailable,
)
PROCESSES = {
    Role.API.value: "serve the API",
    Role.RELAY.value: "publish what waits in the outbox",
    Role.CONSUMER.value: "apply webhooks",
    Role.SCHEDULER.value: "look after what is due",
    "dev": "all of it in one process, with a simulated provider",
}
COMMANDS = (upkeep, doctor, webhooks, exceptions, reconcile, audit, timeline)


def main(arguments: list[str] | None = None, *, clock: Clock = system_clock) -> int:
    """Run a command and return its exit code."""
    options = parser().parse_args(arguments)
    try:
        return int(uvloop.run(_run(options, clock)))
    except EXPECTED as error:
        code, lines = explain(error)
        print(*lines, sep="\n", file=sys.stderr)
        return code
    finally:
        tracing.flush()


def explain(error: Exception) -> tuple[int, list[str]]:
    """Return the exit code, and what to say of an error: what is wrong, and what to do next."""
    if isinstance(error, InvalidSettings):
        faults = [f"settings: {fault}" for fault in error.faults]
        return USAGE, [*faults, f"  {SETTINGS_ADVICE}"]
    said = [f"payment-service: {error}"]
    if isinstance(error, StorageUnavailable | BrokerUnavailable | ProviderError):
        said.append(f"  {DOCTOR_ADVICE}")
    return WRONG, said


def _run(options: argparse.Namespace, clock: Clock) -> Coroutine[Any, Any, int]:
    if options.command == "dev":
        logging.configure(os.environ.get("PAYMENTS_LOG_LEVEL", "WARNING"))
        return _dev()
    settings = Settings.read(os.environ)
    # Commands print their answer; only processes log on standard output.
    is_process = options.command in set(Role)
    logging.configure(settings.log_level, None if is_process else sys.stderr)
    if is_process:
        ports.require_free(settings.addresses(is_api=options.command == Role.API))
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
    arguments = argparse.ArgumentParser(
        prog="payment-service",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = arguments.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, about in PROCESSES.items():
        commands.add_parser(name, help=about, description=about)
    _add_token(commands)
    for module in COMMANDS:
        module.add_to(commands)
    return arguments


def _add_token(commands: Any) -> None:
    about = "make a token with PAYMENTS_AUTH_SECRET"
    command = commands.add_parser("token", help=about, description=about)
    command.add_argument("--tenant", default="dev", help="whose payments; dev, if not said")
    command.add_argument("--user", default="operator", help="who acts; operator, if not said")
    command.add_argument(
        "--scope",
        default=development.SCOPES,
        help="what it allows, with spaces between; all, if not said",
    )
    command.add_argument("--hours", type=int, default=24, help="it is good for; 24, if not said")
