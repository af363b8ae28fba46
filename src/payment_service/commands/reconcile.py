"""`reconcile`: ask the provider about payments now, instead of when they are due."""

from typing import Any

from payment_service.bootstrap import Service
from payment_service.commands.command import FINE, Options, add_command
from payment_service.storage import payments
from payment_service.use_cases.check_payment import check_payment


def add_to(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands, "reconcile", _reconcile, about="compare a payment with the provider now"
    )
    parser.add_argument("payment_id", metavar="PAYMENT_ID")


async def _reconcile(service: Service, options: Options) -> int:
    await service.database.transact(
        "reconcile.make_due",
        lambda session: payments.make_due(session, options.payment_id, now=service.clock()),
    )
    await check_payment(service.database, service.provider, service.clock, options.payment_id)
    print(f"{options.payment_id} was compared with the provider")
    return FINE
