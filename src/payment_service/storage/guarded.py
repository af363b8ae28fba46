"""Guarded UPDATEs: a row changes only while it is as its conditions say.

Reading first and writing later would be a race; here the conditions are read as the row is written.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Update

from payment_service.storage.database import Session


async def change_one(
    session: Session, statement: Update, values: Mapping[str, Any] | None = None
) -> bool:
    """Change one row; tell whether it was there and met the conditions."""
    done = await session.execute(statement, values)
    return bool(done.rowcount == 1)  # type: ignore[attr-defined]  # a CursorResult, which has it
