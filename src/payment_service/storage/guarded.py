"""Guarded UPDATEs: a row changes only while it is as its conditions say.

Reading first and writing later would be a race; here the conditions are read as the row is written.
"""

from collections.abc import Mapping
from typing import Any, cast

from sqlalchemy import CursorResult, Update

from payment_service.storage.database import Session


async def change_one(
    session: Session, statement: Update, values: Mapping[str, Any] | None = None
) -> bool:
    """Change one row; tell whether it was there and met the conditions.

    A row that already is as it would become counts, too: on MySQL as well, whose driver is asked
    for the rows that were found.
    """
    done = cast("CursorResult[Any]", await session.execute(statement, values))
    return done.rowcount == 1
