"""`timeline`: explain a payment to somebody who asks "I paid, where is my order?"."""

from typing import Any

from payment_service.bootstrap import Service
from payment_service.commands import history_text
from payment_service.commands.command import (
    FINE,
    USAGE,
    WRONG,
    Options,
    add_command,
    print_all,
)
from payment_service.records.search import (
    Found,
    find_by_order,
    find_by_reference,
    find_payment,
)
from payment_service.storage.database import Session


def add_to(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "timeline",
        _timeline,
        about="explain a payment: its money, its links, and who changed what, when and why",
    )
    parser.add_argument(
        "payment_id", nargs="?", metavar="PAYMENT_ID", help="or --order, or --reference"
    )
    parser.add_argument("--order", metavar="ORDER_REFERENCE", help="the merchant's, all payments")
    parser.add_argument(
        "--reference",
        metavar="TEXT",
        help="an order code, a link's or payout's name at the provider, a refund, or the bank's "
        "reference of a transfer",
    )


async def _timeline(service: Service, options: Options) -> int:
    given = [options.payment_id, options.order, options.reference]
    if sum(value is not None for value in given) != 1:
        print("name a payment, or an --order, or a --reference")
        return USAGE
    found = await service.database.read(lambda session: _find(session, options))
    entries, unmatched = found.histories, found.unmatched
    if options.json:
        print_all(options, [*entries, *({"payment": None, "receipts": [r]} for r in unmatched)])
    else:
        for entry in entries:
            history_text.print_history(entry)
        history_text.print_unmatched(unmatched)
    return FINE if entries or unmatched else WRONG


async def _find(session: Session, options: Options) -> Found:
    if options.order is not None:
        return await find_by_order(session, options.order)
    if options.reference is not None:
        return await find_by_reference(session, options.reference)
    return await find_payment(session, options.payment_id)
