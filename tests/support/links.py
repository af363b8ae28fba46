"""Looks at a payment from both sides: our attempts, and what the provider's books say of them."""

from datetime import datetime
from typing import Any

from sqlalchemy import text

from payment_service.domain.idempotency import LEASE
from payment_service.domain.money import Currency, Money
from payment_service.providers.provider import CheckoutRequest
from tests.support.service import Harness
from tests.support.simulator import Simulator

PAYABLE = frozenset({"PENDING", "UNDERPAID"})


async def rows(service: Harness, query: str, **parameters: Any) -> list[Any]:
    """Ask the database."""
    found = await service.service.database.read(
        lambda session: session.execute(text(query), parameters)
    )
    return [tuple(row) for row in found]


async def only_payment(service: Harness) -> str:
    """Name the one payment in the database."""
    ((payment_id,),) = await rows(service, "SELECT id FROM payments")
    return str(payment_id)


async def order_codes(service: Harness, payment_id: str) -> list[int]:
    """List the order codes of a payment, oldest first."""
    query = "SELECT order_code FROM payment_attempts WHERE payment_id = :id ORDER BY number"
    return [code for (code,) in await rows(service, query, id=payment_id)]


async def links(service: Harness, simulator: Simulator, payment_id: str) -> list[str]:
    """List the states of a payment's links in the provider's books, oldest first."""
    books = simulator.ledger()["links"]
    codes = await order_codes(service, payment_id)
    return [books[str(code)]["status"] for code in codes if str(code) in books]


async def events(service: Harness, payment_id: str) -> list[str]:
    """List what the world is told of a payment, in order."""
    query = "SELECT action FROM audit_log WHERE payment_id = :id ORDER BY version"
    return [action for (action,) in await rows(service, query, id=payment_id)]


def checkout_of(service: Harness, order_code: int, *, amount: int) -> CheckoutRequest:
    """Ask for a link that a payment of the service asked for."""
    return CheckoutRequest(
        order_code=order_code,
        money=Money(amount, Currency.VND),
        transfer_text="PAYABC123",
        return_url="https://shop.example/thanks",
        cancel_url="https://shop.example/cart",
        expires_at=service.clock() + LEASE * 20,
    )


def seconds_between(earlier: Any, later: Any) -> float:
    """Tell the seconds between two instants as a database gives them."""
    start, end = (datetime.fromisoformat(str(each)) for each in (earlier, later))
    return round((end - start).total_seconds(), 3)
