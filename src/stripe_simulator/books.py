"""The books of the simulated Stripe: sessions, charges, refunds. No HTTP here."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

LIFE_MIN = timedelta(minutes=30)
LIFE_MAX = timedelta(hours=24)


class Refused(Exception):
    """Stripe's answer to a request that it does not fulfil."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error = {"type": kind, "message": message} | {
            name: value for name, value in (("code", code), ("param", param)) if value
        }


@dataclass(frozen=True, slots=True)
class Card:
    """A card of the simulated payer, and what its bank says. Nobody types a number here."""

    label: str
    last4: str
    failure_code: str | None = None
    reason: str | None = None  # the issuer's, where the code says only "declined"


# Source: Stripe's test cards, 2026-10; the last digits are theirs.
CARDS = {
    "good": Card("A good card", "4242"),
    "declined": Card("Card is declined", "0002", "card_declined", "generic_decline"),
    "insufficient_funds": Card("Too little on it", "9995", "card_declined", "insufficient_funds"),
    "expired": Card("Card has expired", "0069", "expired_card", "expired_card"),
    "wrong_code": Card("Wrong security code", "0127", "incorrect_cvc", "incorrect_cvc"),
}


class Charge(msgspec.Struct, kw_only=True):
    """A try to take money from a card."""

    id: str
    intent: str
    amount: int
    created: int  # Unix seconds, as all times here
    last4: str
    failure_code: str | None = None
    reason: str | None = None

    @property
    def status(self) -> str:
        """Stripe's word for it."""
        return "failed" if self.failure_code else "succeeded"


class Session(msgspec.Struct, kw_only=True):
    """A checkout."""

    id: str
    amount: int
    client_reference_id: str | None
    metadata: dict[str, str]
    intent: str
    intent_metadata: dict[str, str]
    item: str
    success_url: str
    cancel_url: str | None
    created: int
    expires_at: int
    closed_at: int | None = None
    charges: list[Charge] = []

    def status(self, now: int) -> str:
        """Stripe's word for the state; a declined card changes nothing."""
        if self.paid is not None:
            return "complete"
        return "expired" if self.closed_at is not None or now >= self.expires_at else "open"

    @property
    def paid(self) -> Charge | None:
        """The charge that succeeded."""
        return next((charge for charge in self.charges if charge.status == "succeeded"), None)


class Refund(msgspec.Struct, kw_only=True):
    """Money on its way back to a card."""

    id: str
    charge: str
    intent: str
    amount: int
    metadata: dict[str, str]
    created: int
    status: str = "succeeded"
    failure_reason: str | None = None


class Reply(msgspec.Struct, kw_only=True):
    """What a request with an idempotency key was answered."""

    digest: str
    status: int
    body: dict[str, Any]


class Books(msgspec.Struct, kw_only=True):
    """Everything that is kept over a restart."""

    balance: int
    webhook_url: str | None = None
    enabled_events: list[str] = msgspec.field(default_factory=lambda: ["*"])
    sessions: dict[str, Session] = {}
    refunds: dict[str, Refund] = {}
    replies: dict[str, Reply] = {}
    clock_offset_seconds: float = 0


class Ledger:
    """Changes the books by Stripe's rules.

    Attributes:
        refund_status: What a new refund is: `succeeded`, as of a card, or `pending`.
    """

    def __init__(self, books: Books, base_clock: Callable[[], datetime]) -> None:
        self.books = books
        self._base_clock = base_clock
        self.refund_status = "succeeded"
        self.on_change: Callable[[], None] = lambda: None

    def now(self) -> int:
        """Tell Stripe's time."""
        return int(self._base_clock().timestamp() + self.books.clock_offset_seconds)

    def advance(self, seconds: float) -> None:
        """Move Stripe's time on."""
        self.books.clock_offset_seconds += max(0.0, seconds)
        self.on_change()

    def open_session(self, **given: Any) -> Session:
        """Make a session; `expires_at` is bounded both ways."""
        now = self.now()
        expires_at = given.pop("expires_at") or now + int(LIFE_MAX.total_seconds())
        life = timedelta(seconds=expires_at - now)
        if not LIFE_MIN <= life <= LIFE_MAX:
            raise Refused(
                "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout "
                "Session creation.",
                param="expires_at",
            )
        session = Session(
            id=_name("cs_test_", 58),
            intent=_name("pi_", 24),
            created=now,
            expires_at=expires_at,
            **given,
        )
        self.books.sessions[session.id] = session
        self.on_change()
        return session

    def session(self, name: str) -> Session:
        """Find a session by its own name, or by the client's for it."""
        found = self.books.sessions.get(name)
        if found is not None:
            return found
        for session in self.books.sessions.values():
            if session.client_reference_id == name:
                return session
        raise missing("checkout.session", name)

    def expire(self, session: Session) -> None:
        """Close a session that is open."""
        status = session.status(self.now())
        if status != "open":
            raise Refused(
                'Only Checkout Sessions with a status in ["open"] can be expired. This Session '
                f"has a status of `{status}`."
            )
        session.closed_at = self.now()
        self.on_change()

    def try_card(self, session: Session, card: Card) -> Charge:
        """Take the money of an open session from a card, if its bank lets us."""
        if session.status(self.now()) != "open":
            raise Refused("This Checkout Session is not open any more.")
        charge = Charge(
            id=_name("ch_", 24),
            intent=session.intent,
            amount=session.amount,
            created=self.now(),
            last4=card.last4,
            failure_code=card.failure_code,
            reason=card.reason,
        )
        session.charges = [*session.charges, charge]
        if session.paid is not None:
            self.books.balance += charge.amount
        self.on_change()
        return charge

    def charge(self, name: str) -> tuple[Session, Charge]:
        """Find a charge."""
        for session in self.books.sessions.values():
            for charge in session.charges:
                if charge.id == name:
                    return session, charge
        raise missing("charge", name)

    def refund(self, charge: Charge, amount: int, metadata: dict[str, str]) -> Refund:
        """Send money back to the card, as far as it was taken and is there."""
        alive = [each for each in self.books.refunds.values() if each.charge == charge.id]
        given_back = sum(each.amount for each in alive if each.status not in _ENDED_IN_VAIN)
        if given_back >= charge.amount:
            raise Refused("Charge has already been refunded.", code="charge_already_refunded")
        if amount > charge.amount - given_back:
            raise Refused("Refund amount is greater than unrefunded amount.", param="amount")
        if amount > self.books.balance:
            raise Refused("Insufficient funds in Stripe account.", code="balance_insufficient")
        refund = Refund(
            id=_name("re_", 24),
            charge=charge.id,
            intent=charge.intent,
            amount=amount,
            metadata=metadata,
            created=self.now(),
            status=self.refund_status,
        )
        self.books.balance -= amount
        self.books.refunds[refund.id] = refund
        self.on_change()
        return refund

    def settle(self, refund: Refund, status: str) -> None:
        """Change what became of a refund; money that did not arrive is in the balance again."""
        if status in _ENDED_IN_VAIN and refund.status not in _ENDED_IN_VAIN:
            self.books.balance += refund.amount
        refund.status = status
        refund.failure_reason = "expired_or_canceled_card" if status == "failed" else None
        self.on_change()


_ENDED_IN_VAIN = frozenset({"failed", "canceled"})


def missing(kind: str, name: str) -> Refused:
    """Say that there is no such thing."""
    return Refused(f"No such {kind}: '{name}'", status=404, code="resource_missing", param="id")


def _name(prefix: str, length: int) -> str:
    alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz0123456789"
    return prefix + "".join(secrets.choice(alphabet) for _ in range(length))
