"""Rows and moves that the storage suite shares."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from payment_service.domain.payment import PaymentStatus
from payment_service.storage import payments
from payment_service.storage.database import Database, Session
from payment_service.storage.models import Payment, PaymentAttempt

NOW = datetime(2026, 11, 24, 10, 0, 0, 123456, tzinfo=UTC)
SECOND = timedelta(seconds=1)
Work = Callable[[Session], Awaitable[Any]]


def payment(name: str = "pay_1", **changes: Any) -> Payment:
    fields: dict[str, Any] = {
        "id": name, "tenant_id": "shop", "status": PaymentStatus.PENDING, "version": 0,
        "amount": 100, "currency": "VND", "amount_received": 0, "amount_applied": 0,
        "amount_refunded": 0, "amount_reserved": 0, "order_reference": f"order-{name}",
        "return_url": "https://shop.example/r", "cancel_url": "https://shop.example/c",
        "payment_metadata": {"a": "b"}, "provider": "fake", "created_at": NOW, "updated_at": NOW,
        "expires_at": NOW + 900 * SECOND, "next_check_at": NOW + 30 * SECOND, "checks": 0,
    }  # fmt: skip
    return Payment(**(fields | changes))


def attempt(number: int, *, state: str = "open", owner: str = "pay_1") -> PaymentAttempt:
    return PaymentAttempt(
        id=f"att_{owner}_{number}", payment_id=owner, number=number, order_code=1000 + number,
        state=state, transfer_text="PAY", qr_token=f"qr-{owner}-{number}", created_at=NOW,
    )  # fmt: skip


async def write(database: Database, *rows: Any) -> None:
    for row in rows:
        await database.transact("test.add", lambda session, row=row: payments.add(session, row))


async def read(database: Database, name: str = "pay_1") -> Payment:
    return await database.read(lambda session: payments.get_payment(session, "shop", name))


async def together(database: Database, *works: Work) -> list[Any]:
    return await asyncio.gather(
        *(database.transact("test.together", work) for work in works), return_exceptions=True
    )


class Meeting:
    """Two units of work that go on in turns: each step waits until the other has come to it."""

    def __init__(self) -> None:
        self._reached: dict[str, asyncio.Event] = {}

    def reach(self, step: str) -> None:
        self._reached.setdefault(step, asyncio.Event()).set()

    async def wait(self, step: str) -> None:
        async with asyncio.timeout(10):
            await self._reached.setdefault(step, asyncio.Event()).wait()
