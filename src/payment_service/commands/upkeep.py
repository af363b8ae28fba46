"""`migrate`, `confirm-webhook`: bring the service into order."""

from typing import Any

from payment_service.bootstrap import Service
from payment_service.commands.command import FINE, Options, add_command
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
    parser.add_argument(
        "--down-to", metavar="REVISION", help="go back instead (docs/how-to/upgrade.md)"
    )
    parser = add_command(
        commands,
        "confirm-webhook",
        _confirm_webhook,
        about="register the webhook URL at the provider",
        tells=False,
    )
    parser.add_argument("url", metavar="URL", help="such as https://pay.example/v1/webhooks/payos")


async def _migrate(service: Service, options: Options) -> int:
    await service.database.check()  # migrations would answer in the driver's words
    if options.down_to is not None:
        await migrate.downgrade(service.database, options.down_to)
        return FINE
    await migrate.upgrade(service.database)
    await service.broker.ensure_topics()
    if await migrate.is_ahead(service.database):
        print("a newer version has migrated the database: this one works on it as it is")
    else:
        print("database and topics are up to date")
    return FINE


async def _confirm_webhook(service: Service, options: Options) -> int:
    await service.provider.register_webhook(options.url)
    print(f"{service.provider.name} will send webhooks to {options.url}")
    return FINE
