"""Alembic's entry: runs migrations on the connection that `storage.migrate` hands over.

History never imports the service's column types: `render_item` writes plain SQLAlchemy, so that an
old migration still says what it said when today's code has moved on.
"""

import asyncio
from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection, String
from sqlalchemy.ext.asyncio import create_async_engine

from payment_service.storage.models import Base
from payment_service.storage.types import (
    BigId,
    Payload,
    SealedBytes,
    SealedText,
    UtcDateTime,
)

LOCK_TIMEOUT_SECONDS = 5


def render_item(kind: str, item: Any, _autogen: AutogenContext) -> str | Literal[False]:
    """Render our own column types by the names that `script.py.mako` spells out."""
    if kind != "type":
        return False
    if isinstance(item, UtcDateTime):
        return "INSTANT"
    if item is Payload or isinstance(item, SealedBytes):
        return "BYTES"
    if item is BigId:
        return "ROW_ID"
    return _render_with_length(item)


def _render_with_length(item: Any) -> str | Literal[False]:
    if isinstance(item, SealedText):
        return f"sealed({item.length})"
    if isinstance(item, String) and item._variant_mapping:  # noqa: SLF001  # no public way to ask
        return f"key({item.length})"
    return False


def migrate(connection: Connection) -> None:
    """Run on one connection; a migration that cannot get its lock soon gives up."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_item=render_item,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
        transaction_per_migration=True,
    )
    if connection.dialect.name in {"mysql", "mariadb"}:
        connection.exec_driver_sql(f"SET SESSION lock_wait_timeout = {LOCK_TIMEOUT_SECONDS}")
        connection.commit()
    with context.begin_transaction():
        context.run_migrations()


async def migrate_url(url: str) -> None:
    """Run on a database of its own: `alembic -x url=... revision --autogenerate`."""
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


handed_over = context.config.attributes.get("connection")
if handed_over is not None:
    migrate(handed_over)
else:
    asyncio.run(migrate_url(context.get_x_argument(as_dictionary=True)["url"]))
