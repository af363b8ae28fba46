"""Finds payments by whatever a person can tell, and describes all that is on record about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from payment_service.domain.ids import is_id
from payment_service.records.histories import describe, describe_receipt
from payment_service.storage import histories
from payment_service.storage.database import Session

PAYMENTS_MAX = 20  # that are described at once
TEXT_MAX = 128


@dataclass(frozen=True, slots=True)
class Found:
    """What was found: payments with all that belongs to them, and money without a payment."""

    histories: Sequence[dict[str, Any]] = ()
    unmatched: Sequence[dict[str, Any]] = ()  # the answer to some who ask


async def find(session: Session, text: str) -> Found:
    """Find by any id of ours, an order, or a name that provider or bank have given."""
    if is_id(text):
        return await _describe(session, await histories.find_by_id(session, text))
    by_order = await find_by_order(session, text)
    by_reference = await find_by_reference(session, text)
    known = {history["payment"]["payment_id"] for history in by_order.histories}
    return Found(
        [
            *by_order.histories,
            *(
                history
                for history in by_reference.histories
                if history["payment"]["payment_id"] not in known
            ),
        ],
        by_reference.unmatched,
    )


async def find_payment(session: Session, payment_id: str) -> Found:
    """Find a payment by its id.

    Raises:
        NotFound: There is none.
    """
    return Found([describe(await histories.get_history(session, payment_id))])


async def find_by_order(session: Session, order_reference: str) -> Found:
    """Find the payments of an order, of whichever tenant."""
    return await _describe(session, await histories.find_by_order(session, order_reference))


async def find_by_reference(session: Session, reference: str) -> Found:
    """Find by a name that provider, bank or payout have."""
    found = await _describe(session, await histories.find_by_reference(session, reference))
    receipts = await histories.find_receipts(session, reference)
    strays = [describe_receipt(receipt) for receipt in receipts if receipt.payment_id is None]
    return Found(found.histories, strays)


async def _describe(session: Session, payment_ids: Sequence[str]) -> Found:
    return Found(
        [
            describe(await histories.get_history(session, payment_id))
            for payment_id in payment_ids[:PAYMENTS_MAX]
        ]
    )
