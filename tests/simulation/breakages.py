"""Deliberate faults of the service: the simulation must find each of them, or it proves nothing.

Each is one promise taken out, by replacing the function that keeps it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Update, bindparam, update

from payment_service.domain.ids import new_id, new_order_code
from payment_service.ledger import observations, receipts, refunds as ledger_refunds
from payment_service.providers.provider import (
    CheckoutState,
    OutcomeUnknown,
    RequestRejected,
    UnknownReference,
)
from payment_service.storage import idempotency, outbox, payments, refunds, webhooks
from payment_service.storage.models import Payment
from payment_service.use_cases import (
    apply_webhook,
    check_payment,
    create_payment,
    pay_out_refund,
)
from payment_service.workers import consumer
from payment_service.workers.relay import Relay, _message
from tests.simulation.store.session import SimulatedSession

Breakage = Callable[[], Any]


@contextmanager
def replaced(*places: tuple[Any, str, Any]) -> Iterator[None]:
    """Replace attributes of modules and classes during a block."""
    kept = [(owner, name, getattr(owner, name)) for owner, name, _ in places]
    for owner, name, value in places:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in kept:
            setattr(owner, name, value)


def seen_is_not_applied() -> Any:
    """A webhook is marked as applied in a transaction of its own, before its effect."""
    real = apply_webhook.apply_webhook

    async def seen_first(database: Any, provider: Any, clock: Any, webhook_id: str) -> str:
        async def mark(session: Any) -> bool:
            webhook = await webhooks.lock_webhook(session, webhook_id)
            is_new = webhook.status == webhooks.RECEIVED
            if is_new:
                apply_webhook._finish(webhook, webhooks.APPLIED, None, clock)
            return is_new

        async def reopen(session: Any, name: str) -> Any:
            webhook = await find(session, name)
            webhook.status, webhook.next_check_at = webhooks.RECEIVED, webhook.received_at
            return webhook

        if not await database.transact("mark_seen", mark):
            return webhooks.APPLIED
        find = webhooks.lock_webhook
        with replaced((webhooks, "lock_webhook", reopen)):
            return await real(database, provider, clock, webhook_id)

    return replaced((consumer, "apply_webhook", seen_first))


def refunds_are_not_bounded() -> Any:
    """Neither the check nor the guard of the reserve is there; only the CHECK of the table is."""

    async def reserve(session: Any, payment_id: str, amount: int) -> bool:
        await session.execute(
            update(Payment)
            .where(Payment.id == payment_id)
            .values(amount_reserved=Payment.amount_reserved + amount)
            .execution_options(synchronize_session=False)
        )
        return True

    return replaced(
        (refunds, "reserve", reserve), (ledger_refunds, "check_refundable", lambda **_: None)
    )


def retry_takes_a_new_order_code() -> Any:
    """A retry forgets the order code of the first try, instead of asking about it."""

    async def find(self: Any, reserved: Any) -> None:
        async def forget(session: Any) -> None:
            attempt = await payments.get_latest_attempt(session, reserved.payment.id)
            attempt.order_code = reserved.attempt.order_code = new_order_code(self._clock())

        await self._database.transact("forget", forget)

    return replaced((create_payment._Creation, "_find", find))


def unknown_is_failed() -> Any:
    """No answer is taken for a refusal."""

    async def call(self: Any, reserved: Any) -> Any:
        try:
            return await real(self, reserved)
        except OutcomeUnknown as error:
            raise RequestRejected("no answer") from error

    real = create_payment._Creation._call
    return replaced((create_payment._Creation, "_call", call))


def published_before_the_answer() -> Any:
    """The relay marks its messages before the broker has them."""

    async def run_once(self: Any) -> int:
        await self._keep_shards()
        batch = await self._database.read(
            lambda session: outbox.list_pending(session, self._shards, limit=100)
        )
        await self._record(batch, [None] * len(batch))
        await self._publisher.publish([_message(row) for row in batch])
        return len(batch)

    return replaced((Relay, "run_once", run_once))


def relay_reads_by_cursor() -> Any:
    """The relay goes on after the last id that it saw."""
    real = outbox.list_pending
    cursors: WeakKeyDictionary[Any, int] = WeakKeyDictionary()

    async def list_pending(session: Any, shards: Any, *, limit: int) -> Any:
        last = cursors.get(session._store, 0)
        rows = [
            row for row in await real(session, range(outbox.SHARDS), limit=limit) if row.id > last
        ]
        cursors[session._store] = max([last, *(row.id for row in rows)])
        return rows

    return replaced((outbox, "list_pending", list_pending))


def zombies_are_not_fenced() -> Any:
    """Whoever ever held a claim may answer under the key."""

    def changing(*columns: str) -> Update:
        table = idempotency._TABLE
        return (
            update(table)
            .where(
                table.c.tenant_id == bindparam("owner_tenant_id"),
                table.c.key == bindparam("owner_key"),
            )
            .values({name: bindparam(name) for name in columns})
        )

    return replaced((idempotency, "_changing", changing))


def payments_are_not_locked() -> Any:
    """A payment is read and written without holding its row."""

    async def lock_payment(session: Any, payment_id: str, *, tenant_id: str | None = None) -> Any:
        return await session.get(Payment, payment_id, populate_existing=True)

    async def lock_with_link(session: Any, payment_id: str) -> Any:
        payment = await lock_payment(session, payment_id)
        return payment, await payments.get_latest_attempt(session, payment_id)

    return replaced(
        (payments, "lock_payment", lock_payment), (payments, "lock_with_link", lock_with_link)
    )


def payouts_have_fresh_keys() -> Any:
    """Each try to pay a refund out is a payout of its own."""
    real = pay_out_refund._request

    def request(refund: Any) -> Any:
        key = f"{refund.id}-{new_id('key', refund.updated_at)[-8:]}"
        return replace(real(refund), idempotency_key=key, reference=key)

    async def find_or_send(provider: Any, due: Any) -> Any:
        return await provider.refund(due.request)

    return replaced(
        (pay_out_refund, "_request", request), (pay_out_refund, "_find_or_send", find_or_send)
    )


def every_refusal_is_the_last_word() -> Any:
    """A refused payout is given up, whatever was sent under its name before."""
    real = pay_out_refund._record_refusal

    async def record(
        session: Any, payment: Any, refund: Any, look: Any, refusal: Any, clock: Any
    ) -> None:
        await real(session, payment, refund, replace(look, sent_at=None), refusal, clock)

    return replaced((pay_out_refund, "_record_refusal", record))


def expiry_by_our_own_clock() -> Any:
    """A payment ends when its time is up, whether its link is closed or not."""

    async def ask(provider: Any, due: Any) -> Any:
        try:
            seen = await provider.get_payment(due.order_code)
        except UnknownReference as error:
            raise OutcomeUnknown("no link") from error
        return replace(seen, state=CheckoutState.EXPIRED) if due.is_overdue else seen

    return replaced((check_payment, "_ask", ask))


def closed_links_are_not_watched() -> Any:
    """What is closed is not asked about any more."""
    never = (timedelta(days=400),)
    return replaced((receipts, "WATCH_INTERVALS", never), (observations, "WATCH_INTERVALS", never))


def transfers_are_counted_by_link() -> Any:
    """A second transfer to a link is taken for the first one, told again."""

    async def of_link(session: Any, *, bank_reference: str, **names: str) -> Any:
        first = f"{bank_reference.rpartition('-')[0]}-1"
        return await real(session, bank_reference=first, **names)

    real = payments.list_receipts_of_transfer
    return replaced(
        (payments, "list_receipts_of_transfer", of_link),
        (receipts, "_is_same", lambda _receipt, _transfer: True),
    )


def events_in_a_second_transaction() -> Any:
    """The change commits first; what tells of it commits later, if the process lives."""
    waiting: WeakKeyDictionary[Any, list[Any]] = WeakKeyDictionary()

    async def add(session: Any, **message: Any) -> None:
        waiting.setdefault(session, []).append(message)

    async def commit(session: Any) -> None:
        await real_commit(session)
        for message in waiting.pop(session, []):
            second = SimulatedSession(session._store, session._surroundings, may_write=True)
            await real_add(second, **message)
            await real_commit(second)

    real_add, real_commit = outbox.add, SimulatedSession.commit
    return replaced((outbox, "add", add), (SimulatedSession, "commit", commit))


BREAKAGES: dict[str, tuple[Breakage, int]] = {
    # How many schedules may pass until it is found; about four times what it takes.
    "seen is not applied": (seen_is_not_applied, 400),
    "refunds are not bounded": (refunds_are_not_bounded, 400),
    "a retry takes a new order code": (retry_takes_a_new_order_code, 400),
    "unknown is failed": (unknown_is_failed, 400),
    "published before the answer": (published_before_the_answer, 400),
    "the relay reads by cursor": (relay_reads_by_cursor, 400),
    "zombies are not fenced": (zombies_are_not_fenced, 4000),
    "payments are not locked": (payments_are_not_locked, 4000),
    "payouts have fresh keys": (payouts_have_fresh_keys, 400),
    "every refusal is the last word": (every_refusal_is_the_last_word, 4000),
    "expiry by our own clock": (expiry_by_our_own_clock, 400),
    "closed links are not watched": (closed_links_are_not_watched, 400),
    "transfers are counted by link": (transfers_are_counted_by_link, 400),
    "events in a second transaction": (events_in_a_second_transaction, 400),
}
