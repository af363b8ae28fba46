"""a rehearsal: add what the next version would need.

Revision: rehearsal_expand
After: HEAD
"""

import sqlalchemy as sa
from alembic import op

revision: str = "rehearsal_expand"
down_revision: str | None = "HEAD"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    # What hurts most: a new column and an index on the tables that every request writes to.
    op.add_column("payments", sa.Column("rehearsed", sa.String(32), nullable=True))
    op.create_index("ix_payments_rehearsed", "payments", ["rehearsed", "created_at"])
    op.add_column("outbox_events", sa.Column("rehearsed", sa.Integer(), server_default="0"))
    op.create_table("rehearsals", sa.Column("id", sa.String(32), primary_key=True))


def downgrade() -> None:
    op.drop_table("rehearsals")
    op.drop_column("outbox_events", "rehearsed")
    op.drop_index("ix_payments_rehearsed", "payments")
    op.drop_column("payments", "rehearsed")
