"""Locks are taken in one order by everybody, so that nobody waits in a circle: keys come last."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import event

from payment_service.domain.idempotency import LEASE
from tests.support.death import death_at
from tests.support.odd_money import ACCOUNT, OddMoney
from tests.support.service import Harness, order

PATH = "/v1/payments"
KEY, PAYMENT = "UPDATE idempotency_keys", "FROM payments"


class Transactions:
    """What each transaction of a service touched, in order; those that are over."""

    def __init__(self) -> None:
        self.over: list[list[str]] = []
        self._open: dict[int, list[str]] = {}

    def executed(self, connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        text = " ".join(statement.split())
        touched = self._open.setdefault(id(connection.connection.dbapi_connection), [])
        touched += [name for name in (KEY, PAYMENT) if name in text]

    def ended(self, connection: Any) -> None:
        self.over.append(self._open.pop(id(connection.connection.dbapi_connection), []))


@contextmanager
def watched(service: Harness) -> Iterator[Transactions]:
    seen = Transactions()
    engine = service.service.database.engine.sync_engine
    listeners = (("before_cursor_execute", seen.executed), ("commit", seen.ended),
                 ("rollback", seen.ended))  # fmt: skip
    for name, listener in listeners:
        event.listen(engine, name, listener)
    yield seen
    for name, listener in listeners:
        event.remove(engine, name, listener)


async def test_whoever_locks_a_payment_and_a_key_locks_the_key_last(
    service: Harness, desk: OddMoney
) -> None:
    """Requests that live, die, are repeated and are completed, of every kind that has a key."""
    with watched(service) as transactions:
        await lives(service, desk)

    both = [touched for touched in transactions.over if {KEY, PAYMENT} <= set(touched)]
    assert len(both) > 10
    assert [touched for touched in both if touched[0] == KEY] == []


async def lives(service: Harness, desk: OddMoney) -> None:
    for key in ("completed", "repeated"):
        with death_at("provider.create:after"):
            await service.request("POST", PATH, body := order(), key=key)
        service.clock.advance(LEASE + timedelta(seconds=1))
        if key == "repeated":
            await service.request("POST", PATH, body, key=key)
        await service.settle()
    for key in ("completed", "repeated"):
        path = f"{PATH}/{(await service.create())['payment_id']}/cancel"
        with death_at("provider.cancel:after"):
            await service.request("POST", path, key=f"{key}-cancel")
        service.clock.advance(LEASE + timedelta(seconds=1))
        if key == "repeated":
            await service.request("POST", path, key=f"{key}-cancel")
        await service.settle()
    paid = await desk.paid(130)
    refund = {"amount": 40, "reason": "other", "destination": ACCOUNT}
    await service.request("POST", f"{PATH}/{paid['payment_id']}/refunds", refund)
    await desk.resolve(await desk.exception(paid), "keep")
