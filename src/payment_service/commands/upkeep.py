"""`migrate`, `doctor`, `confirm-webhook`: bring the service into order, and see that it is."""

from collections.abc import Awaitable, Callable
from typing import Any

from payment_service.bootstrap import Service
from payment_service.commands.command import FINE, WRONG, Options, add_command, print_all
from payment_service.domain.errors import PaymentServiceError
from payment_service.messaging.broker import BrokerUnavailable
from payment_service.providers.provider import ProviderError, UnknownReference
from payment_service.storage import migrate


def add_to(commands: Any) -> None:
    """Add the commands."""
    parser = add_command(
        commands,
        "migrate",
        _migrate,
        about="bring the database and the topics up to date",
        tells=False,
    )
    parser.add_argument("--down-to", metavar="REVISION", help="go back instead")
    add_command(commands, "doctor", _doctor, about="check settings, database, broker and provider")
    parser = add_command(
        commands,
        "confirm-webhook",
        _confirm_webhook,
        about="register the webhook URL at the provider",
        tells=False,
    )
    parser.add_argument("url", metavar="URL")


async def _migrate(service: Service, options: Options) -> int:
    if options.down_to is not None:
        await migrate.downgrade(service.database, options.down_to)
        return FINE
    await migrate.upgrade(service.database)
    await service.broker.ensure_topics()
    print("database and topics are up to date")
    return FINE


async def _doctor(service: Service, options: Options) -> int:
    checks: dict[str, tuple[Callable[[], Awaitable[object]], str]] = {
        "database": (service.database.check, "check PAYMENTS_DATABASE_URL and the server"),
        "schema": (lambda: _schema(service), "run payment-service migrate"),
        "broker": (service.broker.check, "check PAYMENTS_BROKER_URL and the servers"),
        "provider": (lambda: _provider(service), "check the provider's address and credentials"),
    }
    found = []
    for name, (check, advice) in checks.items():
        try:
            await check()
            found.append({"check": name, "state": "fine"})
        except (PaymentServiceError, ProviderError, BrokerUnavailable) as error:
            found.append({"check": name, "state": f"WRONG  {error}: {advice}"})
    print_all(options, found)
    return FINE if all(entry["state"] == "fine" for entry in found) else WRONG


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


async def _confirm_webhook(service: Service, options: Options) -> int:
    await service.provider.register_webhook(options.url)
    print(f"{service.provider.name} will send webhooks to {options.url}")
    return FINE
