"""Watches that nobody calls a provider while a unit of work is open in the same context."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from payment_service.providers.provider import PaymentProvider
from payment_service.storage.database import Database, Session

CALLS = (
    "create_payment", "get_payment", "cancel_payment", "refund", "find_refund", "register_webhook",
)  # fmt: skip
_unit: ContextVar[str] = ContextVar("unit", default="")


class UnitWatch:
    """Wraps a database and a provider; `found` lists what was called inside which unit."""

    def __init__(self, database: Database, provider: PaymentProvider) -> None:
        self.found: list[tuple[str, str]] = []
        self._transact, self._read = database.transact, database.read
        vars(database).update(transact=self._watched_transact, read=self._watched_read)
        for name in CALLS:
            setattr(provider, name, self._watched_call(name, getattr(provider, name)))

    async def _watched_transact(self, name: str, work: Callable[[Session], Awaitable[Any]]) -> Any:
        return await self._transact(name, _marked(name, work))

    async def _watched_read(self, work: Callable[[Session], Awaitable[Any]]) -> Any:
        return await self._read(_marked("read", work))

    def _watched_call(self, name: str, call: Callable[..., Awaitable[Any]]) -> Any:
        async def watched(*arguments: Any, **options: Any) -> Any:
            if _unit.get():
                self.found.append((_unit.get(), name))
            return await call(*arguments, **options)

        return watched


def _marked(
    name: str, work: Callable[[Session], Awaitable[Any]]
) -> Callable[[Session], Awaitable[Any]]:
    async def marked(session: Session) -> Any:
        token = _unit.set(name)
        try:
            return await work(session)
        finally:
            _unit.reset(token)

    return marked
