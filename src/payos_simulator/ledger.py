"""The books of the simulated bank: links, transfers, payouts. No HTTP here."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec

VIETNAM = timezone(timedelta(hours=7))
PAYOUT_END = frozenset({"SUCCEEDED", "FAILED", "CANCELLED", "REVERSED"})


class Refused(Exception):
    """payOS's answer to a request that it does not fulfil: a code and a description."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code = code
        self.description = description


class Transfer(msgspec.Struct, kw_only=True):
    """Money that reached a link."""

    reference: str
    amount: int
    at: datetime
    counter_bank: str = "970436"
    counter_account: str = "0123456789"
    counter_name: str = "NGUYEN VAN A"


class Link(msgspec.Struct, kw_only=True):
    """A payment link."""

    id: str
    order_code: int
    amount: int
    description: str
    return_url: str
    cancel_url: str
    expired_at: int | None  # Unix seconds
    created_at: datetime
    canceled_at: datetime | None = None
    cancellation_reason: str | None = None
    transfers: list[Transfer] = []

    @property
    def paid(self) -> int:
        """All that arrived."""
        return sum(transfer.amount for transfer in self.transfers)

    def status(self, now: datetime) -> str:
        """Tell payOS's word for the state. What was paid in time stays paid."""
        if self.canceled_at is None and self.paid_in_time >= self.amount:
            return "PAID"
        if self.canceled_at is not None:
            return "CANCELLED"
        if self.is_expired(now):
            return "EXPIRED"
        return "UNDERPAID" if self.transfers else "PENDING"

    @property
    def paid_in_time(self) -> int:
        """What arrived before the link ran out."""
        return sum(t.amount for t in self.transfers if not self.is_expired(t.at))

    def is_expired(self, at: datetime) -> bool:
        """Tell whether the link has run out."""
        return self.expired_at is not None and at.timestamp() >= self.expired_at


class Payout(msgspec.Struct, kw_only=True):
    """Money sent out."""

    id: str
    reference: str
    idempotency_key: str
    amount: int
    description: str
    to_bin: str
    to_account: str
    category: list[str] | None
    created_at: datetime
    state: str = "PROCESSING"
    approval: str = "PROCESSING"


class Books(msgspec.Struct, kw_only=True):
    """Everything that is kept over a restart."""

    wallet: int
    webhook_url: str | None = None
    links: dict[int, Link] = {}
    payouts: dict[str, Payout] = {}
    transfers_made: int = 0
    clock_offset_seconds: float = 0


class Ledger:
    """Changes the books by the bank's rules.

    Attributes:
        payout_seconds: How long a payout takes; it is done when it is next looked at after that.
        auto_payouts: Whether payouts succeed by themselves.
    """

    def __init__(self, books: Books, base_clock: Callable[[], datetime]) -> None:
        self.books = books
        self._base_clock = base_clock
        self.payout_seconds = 0.0
        self.auto_payouts = True
        self.on_change: Callable[[], None] = lambda: None

    def now(self) -> datetime:
        """Tell the bank's time."""
        return self._base_clock() + timedelta(seconds=self.books.clock_offset_seconds)

    def advance(self, seconds: float) -> None:
        """Move the bank's time on."""
        self.books.clock_offset_seconds += max(0.0, seconds)
        self.on_change()

    def open_link(self, body: dict[str, Any]) -> Link:
        """Make a link; an order code is used once and never again."""
        order_code = body["orderCode"]
        if order_code in self.books.links:
            raise Refused("231", "Đơn thanh toán đã tồn tại")
        link = Link(
            id=secrets.token_hex(16),
            order_code=order_code,
            amount=body["amount"],
            description=body["description"],
            return_url=body["returnUrl"],
            cancel_url=body["cancelUrl"],
            expired_at=body.get("expiredAt"),
            created_at=self.now(),
        )
        self.books.links[order_code] = link
        self.on_change()
        return link

    def link(self, name: str) -> Link:
        """Find a link by order code (digits) or by its own name (32 hexadecimal digits)."""
        if name.isdigit() and int(name) in self.books.links:
            return self.books.links[int(name)]
        for link in self.books.links.values():
            if link.id == name:
                return link
        raise Refused("101", "Mã thanh toán không tồn tại")

    def cancel(self, link: Link, reason: str | None) -> None:
        """Close a link that can still be paid."""
        if link.status(self.now()) not in {"PENDING", "UNDERPAID"}:
            raise Refused("20", "PAYMENT_LINK_CANNOT_BE_CANCELED")
        link.canceled_at = self.now()
        link.cancellation_reason = reason
        self.on_change()

    def pay(self, link: Link, amount: int | None = None, **counter: str) -> Transfer:
        """Transfer money to a link; a bank lets that happen whatever the link's state is."""
        self.books.transfers_made += 1
        day = self.now().astimezone(VIETNAM).strftime("%y%j")
        transfer = Transfer(
            reference=f"FT{day}{self.books.transfers_made:09d}",
            amount=link.amount if amount is None else amount,
            at=self.now().replace(microsecond=0),
            **counter,
        )
        link.transfers = [*link.transfers, transfer]
        self.on_change()
        return transfer

    def pay_out(self, body: dict[str, Any], idempotency_key: str) -> Payout:
        """Send money out; the same key again returns the same payout."""
        for known in self.books.payouts.values():
            if known.idempotency_key == idempotency_key:
                return known
            if known.reference == body["referenceId"]:
                raise Refused("20", "DUPLICATE_REFERENCE_ID")
        if body["amount"] > self.books.wallet:
            raise Refused("20", "BALANCE_NOT_ENOUGH")
        payout = Payout(
            id="payout_" + secrets.token_hex(12),
            reference=body["referenceId"],
            idempotency_key=idempotency_key,
            amount=body["amount"],
            description=body["description"],
            to_bin=body["toBin"],
            to_account=body["toAccountNumber"],
            category=body.get("category"),
            created_at=self.now(),
        )
        self.books.wallet -= payout.amount
        self.books.payouts[payout.id] = payout
        self.on_change()
        return payout

    def look_at(self, payout: Payout) -> Payout:
        """Let a payout that has taken its time succeed."""
        due = payout.created_at + timedelta(seconds=self.payout_seconds)
        if self.auto_payouts and payout.state == "PROCESSING" and self.now() >= due:
            self.settle(payout, "SUCCEEDED")
        return payout

    def settle(self, payout: Payout, state: str) -> None:
        """Change a payout's state; money that did not leave, or came back, is in the wallet."""
        back = {"FAILED", "CANCELLED", "REVERSED"}
        if state in back and payout.state not in back:
            self.books.wallet += payout.amount
        payout.state = state
        payout.approval = "COMPLETED" if state in PAYOUT_END else "PROCESSING"
        self.on_change()


def system_clock() -> datetime:
    """Return the current instant in UTC."""
    return datetime.now(UTC)
