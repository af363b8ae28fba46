"""Many rows in few statements, whose texts are few as well.

A server and SQLAlchemy prepare a statement once for each text, and the text grows with the number
of rows: so rows go in powers of two, and lists of values are filled up to one.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import insert

from payment_service.storage.database import Session

T = TypeVar("T")

ROWS_MAX = 64  # in one statement


async def insert_all(session: Session, model: type[Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows in their order."""
    start = 0
    while start < len(rows):
        size = min(ROWS_MAX, 1 << ((len(rows) - start).bit_length() - 1))
        chunk = rows[start : start + size]
        await session.execute(insert(model.__table__), chunk)
        start += size


def padded(values: Sequence[T]) -> Sequence[T]:
    """Fill one value or more up to a power of two with the last: that changes nothing for `IN`."""
    size = 1 << (len(values) - 1).bit_length()
    return [*values, *[values[-1]] * (size - len(values))]
