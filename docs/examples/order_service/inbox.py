"""What to do with a message: count it, drop it, let it wait, or set it aside. Never stop at it."""

import time
from enum import StrEnum

from .event import PaymentEvent, Unreadable, read
from .store import Store

ANOTHERS = "its sequence or its id is another event's"


class Outcome(StrEnum):
    """What became of a message."""

    COUNTED = "counted"
    KNOWN = "known"  # it was counted before
    WAITS = "waits"  # an earlier event is missing
    SET_ASIDE = "set_aside"  # a person must look at it


class Inbox:
    """Takes messages in, in any order and any number of times; each event is counted once.

    The rule of the contract: per payment, `sequence` is 1, 2, 3, ... So an event is counted when it
    is the next, dropped when it is not greater, and waits when there is a gap.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def take(self, place: str, value: bytes | None) -> Outcome:
        """Deal with a message for good; when this returns, it need not come again.

        Args:
            place: Where it lies: topic, partition and offset.
            value: The message itself; None is a tombstone.
        """
        with self._store.transaction():
            try:
                event = read(value)
            except Unreadable as error:
                return self._set_aside(place, str(error), value)
            sequence = self._sequence(event.payment_id)
            is_known = self._is_known(event)
            if event.sequence <= sequence and is_known:
                return Outcome.KNOWN
            if event.sequence <= sequence or is_known:
                return self._set_aside(place, ANOTHERS, value)
            if event.sequence > sequence + 1:
                self._put_off(event, value or b"")
                return Outcome.WAITS
            self._count(event)
            self._count_what_waited(event.payment_id, event.sequence + 1)
            return Outcome.COUNTED

    def _sequence(self, payment_id: str) -> int:
        row = self._store.find("SELECT sequence FROM payments WHERE payment_id = ?", payment_id)
        return int(row["sequence"]) if row else 0

    def _is_known(self, event: PaymentEvent) -> bool:
        sql = "SELECT 1 FROM journal WHERE event_id = ?"
        return self._store.find(sql, event.id) is not None

    def _count(self, event: PaymentEvent) -> None:
        before = self._store.find(
            "SELECT p.status, SUM(j.received) AS received, SUM(j.refunded) AS refunded"
            " FROM payments p JOIN journal j USING (payment_id) WHERE p.payment_id = ?",
            event.payment_id,
        )
        was = event.previous_status or (before["status"] if before else None)
        received = before["received"] or 0 if before else 0
        refunded = before["refunded"] or 0 if before else 0
        self._store.write(
            "INSERT INTO payments VALUES (?, ?, ?, ?) ON CONFLICT (payment_id) DO UPDATE"
            " SET status = excluded.status, sequence = excluded.sequence",
            event.payment_id, event.order_reference, event.status, event.sequence,
        )  # fmt: skip
        self._store.write(
            "INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?)",
            event.id, event.payment_id, event.sequence, event.type,
            event.amount_received - received, event.amount_refunded - refunded,
        )  # fmt: skip
        if event.type == "payment.paid" and was == "pending":
            # After anything else it is a refund that came back: no new money, and no mail.
            self._store.write("INSERT INTO thanks VALUES (?, ?)", event.id, event.order_reference)

    def _put_off(self, event: PaymentEvent, value: bytes) -> None:
        self._store.write(
            "INSERT OR IGNORE INTO waiting VALUES (?, ?, ?, ?)",
            event.payment_id, event.sequence, value, time.time(),
        )  # fmt: skip

    def _count_what_waited(self, payment_id: str, sequence: int) -> None:
        """Close the gap as far as it goes."""
        where = "WHERE payment_id = ? AND sequence = ?"
        while row := self._store.find(f"SELECT value FROM waiting {where}", payment_id, sequence):
            event = read(row["value"])
            self._store.write(f"DELETE FROM waiting {where}", payment_id, sequence)
            if self._is_known(event):
                self._set_aside(f"{payment_id}/{sequence}", ANOTHERS, row["value"])
                return
            self._count(event)
            sequence += 1

    def _set_aside(self, place: str, reason: str, value: bytes | None) -> Outcome:
        self._store.write(
            "INSERT OR IGNORE INTO set_aside VALUES (?, ?, ?)", place, reason, value or b""
        )
        return Outcome.SET_ASIDE
