"""`audit`: check that all money adds up."""

from typing import Any

from payment_service.bootstrap import Service
from payment_service.commands.command import FINE, WRONG, Options, add_command, print_all
from payment_service.storage import invariants


def add_to(commands: Any) -> None:
    """Add the command."""
    add_command(commands, "audit", _audit, about="check that all money adds up")


async def _audit(service: Service, options: Options) -> int:
    violations = await service.database.read(
        lambda session: invariants.find_violations(session, now=service.clock())
    )
    print_all(options, [{"invariant": name, "id": row} for name, row in violations])
    return WRONG if violations else FINE
