"""The FastAPI peer's tables: the service's schema as plain ORM models."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, String
from sqlalchemy.dialects.mysql import DATETIME, MEDIUMBLOB
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tests.benchmarks.peers.settings import CONNECTIONS, DATABASE_URL

engine = create_async_engine(
    DATABASE_URL,
    pool_size=CONNECTIONS,
    max_overflow=0,
    pool_pre_ping=True,
    isolation_level="READ COMMITTED",
    connect_args={"stmt_cache_size": 128},
)
sessions = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    """Times have microseconds; they are UTC."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's way to say it
        datetime: DATETIME(fsp=6),
        bytes: MEDIUMBLOB,
        dict[str, Any]: JSON,
        str: String(255),
    }


class WebhookEvent(Base):
    """A webhook as it was received."""

    __tablename__ = "webhook_events"

    id: Mapped[str] = mapped_column(primary_key=True)
    provider: Mapped[str]
    event_id: Mapped[str]
    schema_version: Mapped[str]
    payload: Mapped[bytes]
    status: Mapped[str]
    attempts: Mapped[int] = mapped_column(default=0)
    received_at: Mapped[datetime]
    next_check_at: Mapped[datetime | None]
    redact_at: Mapped[datetime | None]


class OutboxEvent(Base):
    """A message that waits for the relay."""

    __tablename__ = "outbox_events"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=True)
    shard: Mapped[int]
    topic: Mapped[str]
    message_key: Mapped[str]
    message_id: Mapped[str]
    payload: Mapped[bytes]
    headers: Mapped[dict[str, Any]]
    status: Mapped[str] = mapped_column(default="pending")
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]


class Payment(Base):
    """A request for money."""

    __tablename__ = "payments"

    id: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str]
    status: Mapped[str]
    version: Mapped[int]
    amount: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str]
    amount_received: Mapped[int] = mapped_column(BigInteger, default=0)
    amount_applied: Mapped[int] = mapped_column(BigInteger, default=0)
    amount_refunded: Mapped[int] = mapped_column(BigInteger, default=0)
    amount_reserved: Mapped[int] = mapped_column(BigInteger, default=0)
    order_reference: Mapped[str]
    description: Mapped[str | None]
    return_url: Mapped[str]
    cancel_url: Mapped[str]
    payment_metadata: Mapped[dict[str, Any]] = mapped_column("metadata")
    provider: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    paid_at: Mapped[datetime | None]
    next_check_at: Mapped[datetime | None]
    checks: Mapped[int] = mapped_column(default=0)


class PaymentAttempt(Base):
    """A payment's link at the provider."""

    __tablename__ = "payment_attempts"

    id: Mapped[str] = mapped_column(primary_key=True)
    payment_id: Mapped[str]
    number: Mapped[int]
    order_code: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str]
    transfer_text: Mapped[str]
    provider_reference: Mapped[str | None]
    checkout_url: Mapped[str | None]
    qr_code: Mapped[str | None]
    qr_token: Mapped[str]
    created_at: Mapped[datetime]


class IdempotencyKey(Base):
    """What a key means, and the answer that was given."""

    __tablename__ = "idempotency_keys"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    operation: Mapped[str]
    resource_id: Mapped[str | None]
    state: Mapped[str]
    fence: Mapped[int] = mapped_column(default=1)
    lease_until: Mapped[datetime]
    response_status: Mapped[int | None]
    response_body: Mapped[bytes | None]
    created_at: Mapped[datetime]
    completed_at: Mapped[datetime | None]
    next_check_at: Mapped[datetime | None]


class AuditEntry(Base):
    """Who changed what."""

    __tablename__ = "audit_log"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=True)
    payment_id: Mapped[str]
    at: Mapped[datetime]
    actor: Mapped[str]
    actor_id: Mapped[str | None]
    action: Mapped[str]
    to_status: Mapped[str | None]
    version: Mapped[int]
    amount: Mapped[int | None] = mapped_column(BigInteger)
