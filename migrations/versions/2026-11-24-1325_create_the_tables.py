"""create the tables.

Revision: 0001
After: nothing
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

INSTANT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
BYTES = sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TABLE_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
    "sqlite_autoincrement": True,
}


def key(length: int) -> TypeEngine[str]:
    """Text that is compared byte by byte."""
    binary = mysql.VARCHAR(length, charset="ascii", collation="ascii_bin")
    return sa.String(length).with_variant(binary, "mysql", "mariadb")


def sealed(length: int) -> TypeEngine[bytes]:
    """Bytes that only the service can read."""
    return sa.LargeBinary().with_variant(mysql.VARBINARY(length), "mysql", "mariadb")


def upgrade() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("tenant_id", key(64), nullable=False),
        sa.Column("key", key(255), nullable=False),
        sa.Column("fingerprint", key(64), nullable=False),
        sa.Column("operation", key(64), nullable=False),
        sa.Column("resource_id", key(32), nullable=True),
        sa.Column("state", key(16), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("lease_until", INSTANT, nullable=False),
        sa.Column("response_status", sa.Integer(), nullable=True),
        sa.Column("response_headers", sa.JSON(), nullable=True),
        sa.Column("response_body", BYTES, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("completed_at", INSTANT, nullable=True),
        sa.Column("next_check_at", INSTANT, nullable=True),
        sa.CheckConstraint(
            "state <> 'in_progress' OR next_check_at IS NOT NULL",
            name=op.f("ck_idempotency_keys_in_progress_is_checked"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "key"),
        **TABLE_OPTIONS,
    )
    with op.batch_alter_table("idempotency_keys", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_idempotency_keys_state_completed_at"),
            ["state", "completed_at"],
            unique=False,
        )

    op.create_table(
        "leases",
        sa.Column("name", key(64), nullable=False),
        sa.Column("owner", key(64), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("name"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "outbox_events",
        sa.Column("id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("topic", key(64), nullable=False),
        sa.Column("message_key", key(64), nullable=False),
        sa.Column("message_id", key(32), nullable=False),
        sa.Column("payload", BYTES, nullable=False),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("status", key(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.String(length=255), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("published_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("message_id", name=op.f("uq_outbox_events_message_id")),
        **TABLE_OPTIONS,
    )
    with op.batch_alter_table("outbox_events", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_outbox_events_status_id_shard"), ["status", "id", "shard"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_outbox_events_status_message_key"),
            ["status", "message_key"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_outbox_events_status_published_at"),
            ["status", "published_at"],
            unique=False,
        )

    op.create_table(
        "payments",
        sa.Column("id", key(32), nullable=False),
        sa.Column("tenant_id", key(64), nullable=False),
        sa.Column("status", key(24), nullable=False),
        sa.Column("failure_reason", key(24), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", key(3), nullable=False),
        sa.Column("amount_received", sa.BigInteger(), nullable=False),
        sa.Column("amount_applied", sa.BigInteger(), nullable=False),
        sa.Column("amount_refunded", sa.BigInteger(), nullable=False),
        sa.Column("amount_reserved", sa.BigInteger(), nullable=False),
        sa.Column("order_reference", key(64), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=True),
        sa.Column("return_url", sa.String(length=2048), nullable=False),
        sa.Column("cancel_url", sa.String(length=2048), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("provider", key(32), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("paid_at", INSTANT, nullable=True),
        sa.Column("closed_at", INSTANT, nullable=True),
        sa.Column("next_check_at", INSTANT, nullable=True),
        sa.Column("checks", sa.Integer(), nullable=False),
        sa.Column(
            "live_order_reference",
            key(64),
            sa.Computed(
                "CASE WHEN status IN ('pending', 'paid', 'partially_refunded') THEN order_reference END",
                persisted=True,
            ),
            nullable=True,
        ),
        sa.CheckConstraint(
            "status <> 'pending' OR next_check_at IS NOT NULL",
            name=op.f("ck_payments_pending_is_checked"),
        ),
        sa.CheckConstraint("amount > 0", name=op.f("ck_payments_amount_positive")),
        sa.CheckConstraint(
            "amount_applied <= amount_received", name=op.f("ck_payments_applied_within_received")
        ),
        sa.CheckConstraint(
            "amount_refunded + amount_reserved <= amount_received",
            name=op.f("ck_payments_refunds_within_received"),
        ),
        sa.CheckConstraint("amount_refunded >= 0", name=op.f("ck_payments_refunded_not_negative")),
        sa.CheckConstraint("amount_reserved >= 0", name=op.f("ck_payments_reserved_not_negative")),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint(
            "tenant_id",
            "live_order_reference",
            name=op.f("uq_payments_tenant_id_live_order_reference"),
        ),
        **TABLE_OPTIONS,
    )
    with op.batch_alter_table("payments", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_payments_next_check_at"), ["next_check_at"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_payments_status_next_check_at_expires_at"),
            ["status", "next_check_at", "expires_at"],
            unique=False,
        )
        batch_op.create_index(batch_op.f("ix_payments_updated_at"), ["updated_at"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_payments_tenant_id_created_at_id"),
            ["tenant_id", "created_at", "id"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_payments_tenant_id_order_reference_created_at"),
            ["tenant_id", "order_reference", "created_at"],
            unique=False,
        )

    op.create_table(
        "webhook_events",
        sa.Column("id", key(32), nullable=False),
        sa.Column("provider", key(32), nullable=False),
        sa.Column("event_id", key(128), nullable=False),
        sa.Column("schema_version", key(16), nullable=False),
        sa.Column("payload", BYTES, nullable=False),
        sa.Column("status", key(16), nullable=False),
        sa.Column("reason", sa.String(length=255), nullable=True),
        sa.Column("payment_id", key(32), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.Column("processed_at", INSTANT, nullable=True),
        sa.Column("next_check_at", INSTANT, nullable=True),
        sa.Column("redact_at", INSTANT, nullable=True),
        sa.CheckConstraint(
            "status <> 'received' OR next_check_at IS NOT NULL",
            name=op.f("ck_webhook_events_received_is_checked"),
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint(
            "provider", "event_id", name=op.f("uq_webhook_events_provider_event_id")
        ),
        **TABLE_OPTIONS,
    )
    with op.batch_alter_table("webhook_events", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_webhook_events_next_check_at"), ["next_check_at"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_webhook_events_redact_at"), ["redact_at"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_webhook_events_status_received_at"),
            ["status", "received_at"],
            unique=False,
        )

    op.create_table(
        "audit_log",
        sa.Column("id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("payment_id", key(32), nullable=True),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("actor", key(16), nullable=False),
        sa.Column("actor_id", sa.String(length=128), nullable=True),
        sa.Column("action", key(64), nullable=False),
        sa.Column("from_status", key(24), nullable=True),
        sa.Column("to_status", key(24), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("refund_id", key(32), nullable=True),
        sa.Column("exception_id", key(32), nullable=True),
        sa.Column("reason", sa.String(length=255), nullable=True),
        sa.Column("request_id", key(64), nullable=True),
        sa.Column("webhook_id", key(32), nullable=True),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["payments.id"], name=op.f("fk_audit_log_payment_id")
        ),
        sa.PrimaryKeyConstraint("id"),
        **TABLE_OPTIONS,
    )
    with op.batch_alter_table("audit_log", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_audit_log_payment_id_id"), ["payment_id", "id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_audit_log_webhook_id"), ["webhook_id"], unique=False)

    op.create_table(
        "payment_attempts",
        sa.Column("id", key(32), nullable=False),
        sa.Column("payment_id", key(32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("order_code", sa.BigInteger(), nullable=False),
        sa.Column("state", key(16), nullable=False),
        sa.Column("transfer_text", key(32), nullable=False),
        sa.Column("provider_reference", key(64), nullable=True),
        sa.Column("checkout_url", sa.String(length=2048), nullable=True),
        sa.Column("qr_code", sa.String(length=1024), nullable=True),
        sa.Column("qr_token", key(32), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("closed_at", INSTANT, nullable=True),
        sa.Column(
            "live_payment_id",
            key(32),
            sa.Computed("CASE WHEN state <> 'closed' THEN payment_id END", persisted=True),
            nullable=True,
        ),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["payments.id"], name=op.f("fk_payment_attempts_payment_id")
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("live_payment_id", name=op.f("uq_payment_attempts_live_payment_id")),
        sa.UniqueConstraint("order_code", name=op.f("uq_payment_attempts_order_code")),
        sa.UniqueConstraint(
            "payment_id", "number", name=op.f("uq_payment_attempts_payment_id_number")
        ),
        sa.UniqueConstraint("qr_token", name=op.f("uq_payment_attempts_qr_token")),
        **TABLE_OPTIONS,
    )
    with op.batch_alter_table("payment_attempts", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_payment_attempts_provider_reference"),
            ["provider_reference"],
            unique=False,
        )

    op.create_table(
        "receipts",
        sa.Column("id", key(32), nullable=False),
        sa.Column("payment_id", key(32), nullable=True),
        sa.Column("provider", key(32), nullable=False),
        sa.Column("order_code", sa.BigInteger(), nullable=False),
        sa.Column("provider_reference", key(64), nullable=False),
        sa.Column("bank_reference", sa.String(length=128), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("amount_applied", sa.BigInteger(), nullable=False),
        sa.Column("currency", key(3), nullable=False),
        sa.Column("disposition", key(16), nullable=False),
        sa.Column("occurred_at", INSTANT, nullable=False),
        sa.Column("recorded_at", INSTANT, nullable=False),
        sa.Column("payer_bank_id", sa.String(length=64), nullable=True),
        sa.Column("payer_bank_bin", key(6), nullable=True),
        sa.Column("payer_account_number", sealed(512), nullable=True),
        sa.Column("payer_account_name", sealed(1536), nullable=True),
        sa.CheckConstraint("amount > 0", name=op.f("ck_receipts_amount_positive")),
        sa.CheckConstraint(
            "amount_applied >= 0 AND amount_applied <= amount",
            name=op.f("ck_receipts_applied_bounds"),
        ),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["payments.id"], name=op.f("fk_receipts_payment_id")
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint(
            "provider",
            "provider_reference",
            "bank_reference",
            "amount",
            "occurred_at",
            name="uq_receipts_transfer",
        ),
        **TABLE_OPTIONS,
    )
    with op.batch_alter_table("receipts", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_receipts_bank_reference"), ["bank_reference"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_receipts_payment_id"), ["payment_id"], unique=False)

    op.create_table(
        "refunds",
        sa.Column("id", key(32), nullable=False),
        sa.Column("payment_id", key(32), nullable=False),
        sa.Column("tenant_id", key(64), nullable=False),
        sa.Column("status", key(16), nullable=False),
        sa.Column("pending_reason", key(24), nullable=True),
        sa.Column("failure_reason", key(24), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", key(3), nullable=False),
        sa.Column("reason", key(32), nullable=False),
        sa.Column("reference", key(64), nullable=True),
        sa.Column("destination_type", key(16), nullable=False),
        sa.Column("bank_bin", key(6), nullable=True),
        sa.Column("account_number", sealed(512), nullable=False),
        sa.Column("account_name", sealed(1536), nullable=True),
        sa.Column("payout_number", sa.Integer(), nullable=False),
        sa.Column("payout_sent_at", INSTANT, nullable=True),
        sa.Column("provider_reference", key(64), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.Column("succeeded_at", INSTANT, nullable=True),
        sa.Column("next_check_at", INSTANT, nullable=True),
        sa.Column("checks", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "status <> 'pending' OR next_check_at IS NOT NULL",
            name=op.f("ck_refunds_pending_is_checked"),
        ),
        sa.CheckConstraint("amount > 0", name=op.f("ck_refunds_amount_positive")),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["payments.id"], name=op.f("fk_refunds_payment_id")
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("tenant_id", "reference", name=op.f("uq_refunds_tenant_id_reference")),
        **TABLE_OPTIONS,
    )
    with op.batch_alter_table("refunds", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_refunds_next_check_at"), ["next_check_at"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_refunds_payment_id_created_at_id"),
            ["payment_id", "created_at", "id"],
            unique=False,
        )

    op.create_table(
        "money_exceptions",
        sa.Column("id", key(32), nullable=False),
        sa.Column("tenant_id", key(64), nullable=True),
        sa.Column("payment_id", key(32), nullable=True),
        sa.Column("receipt_id", key(32), nullable=True),
        sa.Column("refund_id", key(32), nullable=True),
        sa.Column("code", key(32), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("amount_held", sa.BigInteger(), nullable=False),
        sa.Column("in_time", sa.Boolean(), nullable=True),
        sa.Column("raised_at", INSTANT, nullable=False),
        sa.Column("resolved_at", INSTANT, nullable=True),
        sa.Column("resolution", key(32), nullable=True),
        sa.Column("resolved_by", key(16), nullable=True),
        sa.Column("resolved_by_id", sa.String(length=128), nullable=True),
        sa.Column("resolution_reason", sa.String(length=255), nullable=True),
        sa.Column("resolution_amount", sa.BigInteger(), nullable=True),
        sa.Column("resolution_refund_id", key(32), nullable=True),
        sa.Column("resolution_payment_id", key(32), nullable=True),
        sa.CheckConstraint("amount_held >= 0", name=op.f("ck_money_exceptions_held_not_negative")),
        sa.CheckConstraint(
            "(resolved_at IS NULL) = (resolution IS NULL)",
            name=op.f("ck_money_exceptions_resolved_with_an_outcome"),
        ),
        sa.ForeignKeyConstraint(
            ["payment_id"], ["payments.id"], name=op.f("fk_money_exceptions_payment_id")
        ),
        sa.ForeignKeyConstraint(
            ["receipt_id"], ["receipts.id"], name=op.f("fk_money_exceptions_receipt_id")
        ),
        sa.ForeignKeyConstraint(
            ["refund_id"], ["refunds.id"], name=op.f("fk_money_exceptions_refund_id")
        ),
        sa.ForeignKeyConstraint(
            ["resolution_refund_id"],
            ["refunds.id"],
            name=op.f("fk_money_exceptions_resolution_refund_id"),
        ),
        sa.ForeignKeyConstraint(
            ["resolution_payment_id"],
            ["payments.id"],
            name=op.f("fk_money_exceptions_resolution_payment_id"),
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint(
            "resolution_refund_id", name=op.f("uq_money_exceptions_resolution_refund_id")
        ),
        **TABLE_OPTIONS,
    )
    with op.batch_alter_table("money_exceptions", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_money_exceptions_payment_id"), ["payment_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_money_exceptions_resolved_at_raised_at_id"),
            ["resolved_at", "raised_at", "id"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_money_exceptions_tenant_id_resolved_at_raised_at_id"),
            ["tenant_id", "resolved_at", "raised_at", "id"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_money_exceptions_tenant_id_raised_at_id"),
            ["tenant_id", "raised_at", "id"],
            unique=False,
        )

    op.create_table(
        "reallocations",
        sa.Column("id", key(32), nullable=False),
        sa.Column("exception_id", key(32), nullable=False),
        sa.Column("receipt_id", key(32), nullable=False),
        sa.Column("from_payment_id", key(32), nullable=True),
        sa.Column("to_payment_id", key(32), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("amount_released", sa.BigInteger(), nullable=False),
        sa.Column("amount_applied", sa.BigInteger(), nullable=False),
        sa.Column("actor", key(16), nullable=False),
        sa.Column("actor_id", sa.String(length=128), nullable=True),
        sa.Column("reason", sa.String(length=255), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_reallocations_amount_positive")),
        sa.CheckConstraint(
            "amount_released >= 0 AND amount_released <= amount",
            name=op.f("ck_reallocations_released_bounds"),
        ),
        sa.CheckConstraint(
            "amount_applied >= 0 AND amount_applied <= amount",
            name=op.f("ck_reallocations_applied_bounds"),
        ),
        sa.ForeignKeyConstraint(
            ["exception_id"], ["money_exceptions.id"], name=op.f("fk_reallocations_exception_id")
        ),
        sa.ForeignKeyConstraint(
            ["receipt_id"], ["receipts.id"], name=op.f("fk_reallocations_receipt_id")
        ),
        sa.ForeignKeyConstraint(
            ["from_payment_id"], ["payments.id"], name=op.f("fk_reallocations_from_payment_id")
        ),
        sa.ForeignKeyConstraint(
            ["to_payment_id"], ["payments.id"], name=op.f("fk_reallocations_to_payment_id")
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("exception_id", name=op.f("uq_reallocations_exception_id")),
        **TABLE_OPTIONS,
    )
    with op.batch_alter_table("reallocations", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_reallocations_receipt_id"), ["receipt_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_reallocations_from_payment_id"), ["from_payment_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_reallocations_to_payment_id"), ["to_payment_id"], unique=False
        )


def downgrade() -> None:
    # Indexes go with their tables; MySQL would refuse to drop those that foreign keys lean on.
    op.drop_table("reallocations")
    op.drop_table("money_exceptions")
    op.drop_table("refunds")
    op.drop_table("receipts")
    op.drop_table("payment_attempts")
    op.drop_table("audit_log")
    op.drop_table("webhook_events")
    op.drop_table("payments")
    op.drop_table("outbox_events")
    op.drop_table("leases")
    op.drop_table("idempotency_keys")
