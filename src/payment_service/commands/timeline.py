"""`timeline`: explain a payment."""

from typing import Any

from payment_service.bootstrap import Service
from payment_service.commands.command import FINE, WRONG, Options, add_command, print_all
from payment_service.storage import audit

ENTRIES_MAX = 1000


def add_to(commands: Any) -> None:
    """Add the command."""
    parser = add_command(commands, "timeline", _timeline, about="explain a payment")
    parser.add_argument("payment_id", metavar="PAYMENT_ID")


async def _timeline(service: Service, options: Options) -> int:
    rows = await service.database.read(
        lambda session: audit.list_entries(session, options.payment_id, after=0, limit=ENTRIES_MAX)
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
    print_all(options, entries)
    return FINE if entries else WRONG
