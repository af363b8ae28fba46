"""Page cursors: a position in a list, bound to the tenant and the filters that it came with."""

import base64
import binascii
import hashlib
from datetime import datetime

import msgspec

from payment_service.domain.errors import InvalidCursor

Position = tuple[datetime, str]


class _Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    at: datetime
    id: str
    scope: str


def encode(position: Position, *scope: object) -> str:
    """Write a position down for the next request."""
    at, row_id = position
    raw = msgspec.json.encode(_Cursor(at, row_id, _digest(scope)))
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode(text: str, *scope: object) -> Position:
    """Read a position back.

    Raises:
        InvalidCursor: We did not make it, or not for this tenant and these filters.
    """
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        cursor = msgspec.json.decode(raw, type=_Cursor)
    except (binascii.Error, ValueError) as error:
        raise InvalidCursor("The cursor cannot be read.") from error
    if cursor.scope != _digest(scope) or cursor.at.tzinfo is None or not cursor.id.isascii():
        raise InvalidCursor("The cursor belongs to other filters.")
    return cursor.at, cursor.id


def _digest(scope: tuple[object, ...]) -> str:
    return hashlib.sha256(repr(scope).encode()).hexdigest()[:16]
