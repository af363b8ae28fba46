"""The schema: every table of the service.

Rows are the entities; the rules live in `domain`. `Payment.advance` is the only way a status
changes. Receipts, reallocations and the audit log are append-only: the application's database user
needs no right to change or delete them (docs/database.md).
"""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Computed,
    ForeignKey,
    Index,
    Integer,
    String,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from payment_service.domain import payment as payment_rules
from payment_service.domain.payment import PaymentStatus
from payment_service.domain.refund import RefundStatus
from payment_service.storage.exception_tables import MoneyException, Reallocation
from payment_service.storage.schema import TABLE_OPTIONS, Base, Id
from payment_service.storage.types import (
    BigId,
    Payload,
    SealedBytes,
    SealedText,
    UtcDateTime,
    ascii_key,
    seal_by_row,
)
from payment_service.telemetry.masking import Masked

__all__ = [
    "AuditEntry",
    "Base",
    "IdempotencyKey",
    "Lease",
    "MoneyException",
    "OutboxEvent",
    "Payment",
    "PaymentAttempt",
    "Reallocation",
    "Receipt",
    "Refund",
    "WebhookEvent",
]


class Payment(Base):
    """A request for money and what became of it. Amounts are in minor units."""

    __tablename__ = "payments"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ascii_key(64))
    status: Mapped[str] = mapped_column(ascii_key(24))
    failure_reason: Mapped[str | None] = mapped_column(ascii_key(24))
    version: Mapped[int] = mapped_column(Integer, default=0)  # 0 = reserved, not yet announced
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(ascii_key(3))
    amount_received: Mapped[int] = mapped_column(BigInteger, default=0)
    amount_applied: Mapped[int] = mapped_column(BigInteger, default=0)
    amount_refunded: Mapped[int] = mapped_column(BigInteger, default=0)
    amount_reserved: Mapped[int] = mapped_column(BigInteger, default=0)  # by pending refunds
    order_reference: Mapped[str] = mapped_column(ascii_key(64))
    description: Mapped[str | None] = mapped_column(String(255))
    return_url: Mapped[str] = mapped_column(String(2048))
    cancel_url: Mapped[str] = mapped_column(String(2048))
    payment_metadata: Mapped[dict[str, str]] = mapped_column("metadata", JSON)
    provider: Mapped[str] = mapped_column(ascii_key(32))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    paid_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    next_check_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    checks: Mapped[int] = mapped_column(Integer, default=0)  # since the last change
    # One live payment per order: NULLs do not collide.
    live_order_reference: Mapped[str | None] = mapped_column(
        ascii_key(64),
        Computed(
            "CASE WHEN status IN ('pending', 'paid', 'partially_refunded')"
            " THEN order_reference END",
            persisted=True,
        ),
    )

    __table_args__ = (
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint("amount_refunded >= 0", name="refunded_not_negative"),
        CheckConstraint("amount_reserved >= 0", name="reserved_not_negative"),
        CheckConstraint("amount_applied <= amount_received", name="applied_within_received"),
        CheckConstraint(
            "amount_refunded + amount_reserved <= amount_received", name="refunds_within_received"
        ),
        CheckConstraint(
            "status <> 'pending' OR next_check_at IS NOT NULL", name="pending_is_checked"
        ),
        UniqueConstraint("tenant_id", "live_order_reference"),
        Index(None, "tenant_id", "created_at", "id"),
        Index(None, "tenant_id", "order_reference", "created_at"),
        Index(None, "next_check_at"),
        Index(None, "status", "next_check_at", "expires_at"),  # pending ones are looked at first
        Index(None, "updated_at"),  # the auditor looks at what has changed
        TABLE_OPTIONS,
    )

    @property
    def amount_unapplied(self) -> int:
        """Received, but it does not pay what was asked: see `domain.payment.amount_unapplied`."""
        return payment_rules.amount_unapplied(
            self.status, self.amount_received, self.amount_applied
        )

    @property
    def amount_refundable(self) -> int:
        """Received and not promised to anybody yet."""
        return self.amount_received - self.amount_refunded - self.amount_reserved

    @property
    def is_reserved(self) -> bool:
        """Nobody was told of it yet: it belongs to whoever holds the claim that it was made under.

        So nobody else asks the provider about it, closes it or ends it.
        """
        return self.status == PaymentStatus.PENDING and self.version == 0

    def advance(self, target: PaymentStatus) -> None:
        """Move to `target`; the only way a status changes.

        Raises:
            InvalidStateTransition: There is no such edge.
        """
        self.status = payment_rules.advance(PaymentStatus(self.status), target)


class PaymentAttempt(Base):
    """One payment link at the provider. A payment has at most one that is not closed."""

    __tablename__ = "payment_attempts"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    payment_id: Mapped[str] = mapped_column(Id, ForeignKey("payments.id"))
    number: Mapped[int] = mapped_column(Integer)
    order_code: Mapped[int] = mapped_column(BigInteger)  # our name for it, at the provider
    state: Mapped[str] = mapped_column(ascii_key(16))
    transfer_text: Mapped[str] = mapped_column(ascii_key(32))
    provider_reference: Mapped[str | None] = mapped_column(ascii_key(64))
    checkout_url: Mapped[str | None] = mapped_column(String(2048))
    qr_code: Mapped[str | None] = mapped_column(String(1024))
    qr_token: Mapped[str] = mapped_column(ascii_key(32))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    live_payment_id: Mapped[str | None] = mapped_column(
        Id, Computed("CASE WHEN state <> 'closed' THEN payment_id END", persisted=True)
    )

    __table_args__ = (
        UniqueConstraint("payment_id", "number"),
        UniqueConstraint("order_code"),
        UniqueConstraint("qr_token"),
        UniqueConstraint("live_payment_id"),
        Index(None, "provider_reference"),  # what the provider's support can tell
        TABLE_OPTIONS,
    )


class Receipt(Base):
    """One bank transfer, as the provider reported it: a fact, never changed. Append-only."""

    __tablename__ = "receipts"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    payment_id: Mapped[str | None] = mapped_column(Id, ForeignKey("payments.id"))
    provider: Mapped[str] = mapped_column(ascii_key(32))
    order_code: Mapped[int] = mapped_column(BigInteger)
    provider_reference: Mapped[str] = mapped_column(ascii_key(64))
    bank_reference: Mapped[str] = mapped_column(String(128))
    amount: Mapped[int] = mapped_column(BigInteger)
    amount_applied: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(ascii_key(3))
    disposition: Mapped[str] = mapped_column(ascii_key(16))
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime)  # the bank's time
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)
    payer_bank_id: Mapped[str | None] = mapped_column(String(64))
    payer_bank_bin: Mapped[str | None] = mapped_column(ascii_key(6))
    payer_account_number: Mapped[Masked | None] = mapped_column(
        SealedText("receipts.payer_account_number", 512)
    )
    payer_account_name: Mapped[Masked | None] = mapped_column(
        SealedText("receipts.payer_account_name", 1536)
    )

    __table_args__ = (
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint("amount_applied >= 0 AND amount_applied <= amount", name="applied_bounds"),
        # A transfer is counted once, whatever tells of it and however often.
        UniqueConstraint(
            "provider",
            "provider_reference",
            "bank_reference",
            "amount",
            "occurred_at",
            name="uq_receipts_transfer",
        ),
        Index(None, "payment_id"),
        Index(None, "bank_reference"),  # what a payer can tell support
        TABLE_OPTIONS,
    )


class Refund(Base):
    """Money on its way back. Amounts are in minor units."""

    __tablename__ = "refunds"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    payment_id: Mapped[str] = mapped_column(Id, ForeignKey("payments.id"))
    tenant_id: Mapped[str] = mapped_column(ascii_key(64))
    status: Mapped[str] = mapped_column(ascii_key(16), default=RefundStatus.PENDING)
    pending_reason: Mapped[str | None] = mapped_column(ascii_key(24))
    failure_reason: Mapped[str | None] = mapped_column(ascii_key(24))
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(ascii_key(3))
    reason: Mapped[str] = mapped_column(ascii_key(32))
    reference: Mapped[str | None] = mapped_column(ascii_key(64))  # the merchant's
    destination_type: Mapped[str] = mapped_column(ascii_key(16))
    bank_bin: Mapped[str | None] = mapped_column(ascii_key(6))  # None: back to a card
    account_number: Mapped[Masked] = mapped_column(SealedText("refunds.account_number", 512))
    account_name: Mapped[Masked | None] = mapped_column(SealedText("refunds.account_name", 1536))
    payout_number: Mapped[int] = mapped_column(Integer, default=1)
    payout_sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # under this number
    provider_reference: Mapped[str | None] = mapped_column(ascii_key(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    succeeded_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    next_check_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    checks: Mapped[int] = mapped_column(Integer, default=0)  # since the last change

    __table_args__ = (
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint(
            "status <> 'pending' OR next_check_at IS NOT NULL", name="pending_is_checked"
        ),
        UniqueConstraint("tenant_id", "reference"),
        Index(None, "payment_id", "created_at", "id"),
        Index(None, "next_check_at"),
        TABLE_OPTIONS,
    )

    @property
    def payout_reference(self) -> str:
        """Our name for the present payout try; it is its idempotency key, too."""
        return f"{self.id}-{self.payout_number}"


class IdempotencyKey(Base):
    """What a key means, and the answer that was given. Keys are per tenant, not per credential."""

    __tablename__ = "idempotency_keys"

    tenant_id: Mapped[str] = mapped_column(ascii_key(64), primary_key=True)
    key: Mapped[str] = mapped_column(ascii_key(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(ascii_key(64))
    operation: Mapped[str] = mapped_column(ascii_key(64))
    resource_id: Mapped[str | None] = mapped_column(Id)
    state: Mapped[str] = mapped_column(ascii_key(16))
    fence: Mapped[int] = mapped_column(Integer)  # grows with every owner
    lease_until: Mapped[datetime] = mapped_column(UtcDateTime)
    response_status: Mapped[int | None] = mapped_column(Integer)
    response_headers: Mapped[dict[str, str] | None] = mapped_column(JSON)
    response_body: Mapped[bytes | None] = mapped_column(Payload)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    completed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    next_check_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        CheckConstraint(
            "state <> 'in_progress' OR next_check_at IS NOT NULL", name="in_progress_is_checked"
        ),
        Index(None, "state", "completed_at"),
        TABLE_OPTIONS,
    )


class WebhookEvent(Base):
    """Every webhook as it was received, once per event of the provider."""

    __tablename__ = "webhook_events"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    provider: Mapped[str] = mapped_column(ascii_key(32))
    event_id: Mapped[str] = mapped_column(ascii_key(128))
    schema_version: Mapped[str] = mapped_column(ascii_key(16))
    payload: Mapped[bytes] = mapped_column(SealedBytes("webhook_events.payload"))
    status: Mapped[str] = mapped_column(ascii_key(16))
    reason: Mapped[str | None] = mapped_column(String(255))
    payment_id: Mapped[str | None] = mapped_column(Id)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    processed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    next_check_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    redact_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # None: it is redacted

    __table_args__ = (
        CheckConstraint(
            "status <> 'received' OR next_check_at IS NOT NULL", name="received_is_checked"
        ),
        UniqueConstraint("provider", "event_id"),
        Index(None, "next_check_at"),
        Index(None, "redact_at"),
        Index(None, "status", "received_at"),
        TABLE_OPTIONS,
    )


class OutboxEvent(Base):
    """A message that waits for the relay, written in the transaction whose change it tells of."""

    __tablename__ = "outbox_events"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    shard: Mapped[int] = mapped_column(Integer)
    topic: Mapped[str] = mapped_column(ascii_key(64))
    message_key: Mapped[str] = mapped_column(ascii_key(64))
    message_id: Mapped[str] = mapped_column(Id)
    payload: Mapped[bytes] = mapped_column(Payload)
    headers: Mapped[dict[str, Any]] = mapped_column(JSON)
    status: Mapped[str] = mapped_column(ascii_key(16))
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    last_error: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    published_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        UniqueConstraint("message_id"),
        Index(None, "status", "id", "shard"),
        Index(None, "status", "message_key"),
        Index(None, "status", "published_at"),
        TABLE_OPTIONS,
    )


class AuditEntry(Base):
    """Who changed what, when and why; written with the change. Append-only."""

    __tablename__ = "audit_log"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    payment_id: Mapped[str | None] = mapped_column(Id, ForeignKey("payments.id"))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str] = mapped_column(ascii_key(16))
    actor_id: Mapped[str | None] = mapped_column(String(128))
    action: Mapped[str] = mapped_column(ascii_key(64))
    from_status: Mapped[str | None] = mapped_column(ascii_key(24))
    to_status: Mapped[str | None] = mapped_column(ascii_key(24))
    version: Mapped[int] = mapped_column(Integer)  # of the payment, after the change
    amount: Mapped[int | None] = mapped_column(BigInteger)
    refund_id: Mapped[str | None] = mapped_column(Id)
    exception_id: Mapped[str | None] = mapped_column(Id)
    reason: Mapped[str | None] = mapped_column(String(255))
    request_id: Mapped[str | None] = mapped_column(ascii_key(64))
    webhook_id: Mapped[str | None] = mapped_column(Id)  # that an operator has replayed

    __table_args__ = (Index(None, "payment_id", "id"), Index(None, "webhook_id"), TABLE_OPTIONS)


class Lease(Base):
    """Who may do a job that only one process does at a time."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(ascii_key(64), primary_key=True)
    owner: Mapped[str] = mapped_column(ascii_key(64))
    fence: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (TABLE_OPTIONS,)


for _model in (Receipt, Refund):
    seal_by_row(_model)
