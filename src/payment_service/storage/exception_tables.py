"""The tables of money exceptions; `models.py` has the others, and names these too."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Index,
    String,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from payment_service.storage.schema import TABLE_OPTIONS, Base, Id
from payment_service.storage.types import UtcDateTime, ascii_key


class MoneyException(Base):
    """An open question about money, until somebody decides. An unmatched one has no payment."""

    __tablename__ = "money_exceptions"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    tenant_id: Mapped[str | None] = mapped_column(ascii_key(64))
    payment_id: Mapped[str | None] = mapped_column(Id, ForeignKey("payments.id"))
    receipt_id: Mapped[str | None] = mapped_column(Id, ForeignKey("receipts.id"))
    refund_id: Mapped[str | None] = mapped_column(Id, ForeignKey("refunds.id"))  # that failed
    code: Mapped[str] = mapped_column(ascii_key(32))
    amount: Mapped[int] = mapped_column(BigInteger)  # what it is about
    amount_held: Mapped[int] = mapped_column(BigInteger)  # the money that is to be decided about
    in_time: Mapped[bool | None] = mapped_column(Boolean)  # of a late transfer: paid in time
    raised_at: Mapped[datetime] = mapped_column(UtcDateTime)
    resolved_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    resolution: Mapped[str | None] = mapped_column(ascii_key(32))
    resolved_by: Mapped[str | None] = mapped_column(ascii_key(16))
    resolved_by_id: Mapped[str | None] = mapped_column(String(128))
    resolution_reason: Mapped[str | None] = mapped_column(String(255))
    resolution_amount: Mapped[int | None] = mapped_column(BigInteger)
    resolution_refund_id: Mapped[str | None] = mapped_column(Id, ForeignKey("refunds.id"))
    resolution_payment_id: Mapped[str | None] = mapped_column(Id, ForeignKey("payments.id"))

    __table_args__ = (
        CheckConstraint("amount_held >= 0", name="held_not_negative"),
        CheckConstraint(
            "(resolved_at IS NULL) = (resolution IS NULL)", name="resolved_with_an_outcome"
        ),
        UniqueConstraint("resolution_refund_id"),
        Index(None, "payment_id"),
        Index(None, "resolved_at", "raised_at", "id"),
        Index(None, "tenant_id", "resolved_at", "raised_at", "id"),
        Index(None, "tenant_id", "raised_at", "id"),
        TABLE_OPTIONS,
    )


class Reallocation(Base):
    """Money of one transfer that was moved to another payment: a fact, never changed. Append-only.

    Receipts stay with the payment that they reached; the sums of a payment are its receipts, plus
    what was moved in, minus what was moved out. Amounts are in minor units.
    """

    __tablename__ = "reallocations"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    exception_id: Mapped[str] = mapped_column(Id, ForeignKey("money_exceptions.id"))
    receipt_id: Mapped[str] = mapped_column(Id, ForeignKey("receipts.id"))
    from_payment_id: Mapped[str | None] = mapped_column(Id, ForeignKey("payments.id"))
    to_payment_id: Mapped[str] = mapped_column(Id, ForeignKey("payments.id"))
    amount: Mapped[int] = mapped_column(BigInteger)
    amount_released: Mapped[int] = mapped_column(BigInteger)  # of it, was applied where it was
    amount_applied: Mapped[int] = mapped_column(BigInteger)  # of it, is applied where it went
    actor: Mapped[str] = mapped_column(ascii_key(16))
    actor_id: Mapped[str | None] = mapped_column(String(128))
    reason: Mapped[str] = mapped_column(String(255))
    at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint(
            "amount_released >= 0 AND amount_released <= amount", name="released_bounds"
        ),
        CheckConstraint("amount_applied >= 0 AND amount_applied <= amount", name="applied_bounds"),
        UniqueConstraint("exception_id"),  # the money of an exception is moved once
        Index(None, "receipt_id"),
        Index(None, "from_payment_id"),
        Index(None, "to_payment_id"),
        TABLE_OPTIONS,
    )
