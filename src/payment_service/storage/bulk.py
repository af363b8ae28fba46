"""Many rows in few statements, whose texts are few as well.

A server and SQLAlchemy prepare a statement once for each text, and the text grows with the number
of rows: so rows go in a few sizes, and lists of values are filled up to a power of two.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import Insert, insert
from sqlalchemy.exc import IntegrityError

from payment_service.storage.database import Repeat, Session
from payment_service.storage.faults import is_duplicate
from payment_service.storage.schema import Base

T = TypeVar("T")

SIZES = (64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1)  # rows in one statement; 63 take three


async def insert_all(
    session: Session, model: type[Base], rows: Sequence[Mapping[str, Any]]
) -> None:
    """Insert rows in their order.

    Raises:
        Repeat: A unique key is taken: whoever looks again will find the other row.
    """
    start = 0
    try:
        while start < len(rows):
            size = next(size for size in SIZES if size <= len(rows) - start)
            chunk = rows[start : start + size]
            await session.execute(_insert_into(model), chunk)
            start += size
    except IntegrityError as error:
        if is_duplicate(error):
            raise Repeat from error
        raise


@cache
def _insert_into(model: type[Any]) -> Insert:
    """Build the statement once: its key in SQLAlchemy's cache is worked out once, too."""
    return insert(model.__table__)


async def insert_new(session: Session, entity: Base) -> None:
    """Insert an entity that the session need not know: nothing will change it before the commit.

    What a session knows it compares and sorts whenever it writes (docs/performance.md, objects).

    Raises:
        Repeat: A unique key is taken.
    """
    await insert_all(session, type(entity), [entity.as_row()])


def padded(values: Sequence[T]) -> Sequence[T]:
    """Fill one value or more up to a power of two with the last: that changes nothing for `IN`."""
    size = 1 << (len(values) - 1).bit_length()
    return [*values, *[values[-1]] * (size - len(values))]
