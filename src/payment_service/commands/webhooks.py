"""`webhooks` and `dlq`: look at what the provider sent, and have it applied again."""

from typing import Any

from payment_service.bootstrap import Service
from payment_service.commands.command import FINE, Options, add_command, print_all
from payment_service.storage import webhooks
from payment_service.storage.models import WebhookEvent
from payment_service.use_cases.replay_webhook import replay_webhook

LIST_MAX = 50


def add_to(commands: Any) -> None:
    """Add the commands."""
    for name, about in (("webhooks", "stored webhooks"), ("dlq", "webhooks set aside")):
        actions = commands.add_parser(name, help=about).add_subparsers(
            dest="action", required=True, metavar="ACTION"
        )
        add_command(actions, "list", _list, about="the newest fifty")
        parser = add_command(actions, "show", _show, about="one of them")
        parser.add_argument("id", metavar="WEBHOOK_ID")
        parser = add_command(actions, "replay", _replay, about="have one applied again")
        parser.add_argument("id", metavar="WEBHOOK_ID")


async def _list(service: Service, options: Options) -> int:
    status = webhooks.DEAD if options.command == "dlq" else None
    rows = await service.database.read(
        lambda session: webhooks.list_webhooks(session, status=status, limit=LIST_MAX)
    )
    print_all(options, [_webhook(row) for row in rows])
    return FINE


async def _show(service: Service, options: Options) -> int:
    row = await service.database.read(lambda session: webhooks.get_webhook(session, options.id))
    print_all(options, [_webhook(row)])
    return FINE


async def _replay(service: Service, options: Options) -> int:
    await replay_webhook(service.database, service.clock, options.id)
    print(f"{options.id} will be applied again")
    return FINE


def _webhook(row: WebhookEvent) -> dict[str, Any]:
    return {
        "id": row.id,
        "status": row.status,
        "reason": row.reason,
        "received_at": row.received_at,
        "payment_id": row.payment_id,
        "attempts": row.attempts,
    }
