"""Names for things: sortable by time, unguessable, and never reused."""

import re
import secrets
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
_ANY_CHARACTER = (_ALPHABET * 8).encode()  # for each byte one, all of them equally often
_RANDOM_CHARACTERS = 16
_TIME_SHIFTS = range(45, -1, -5)
_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ORDER_CODE_EPOCH = datetime(2025, 1, 1, tzinfo=UTC)
_ORDER_CODE_RANDOM_BITS = 12
_ID = re.compile(rf"[a-z]{{3}}_[{_ALPHABET}]{{26}}")
ORDER_CODE_FLOOR = 2**32  # ours are far above, what providers use in their tests is far below
ORDER_CODE_MAX = 2**53 - 1  # the largest integer that every JSON reader keeps exact


def new_id(prefix: str, at: datetime) -> str:
    """Make `<prefix>_` and 26 characters: 50 bits of milliseconds, 80 random bits (as a ULID)."""
    by_chance = secrets.token_bytes(_RANDOM_CHARACTERS).translate(_ANY_CHARACTER).decode()
    return f"{prefix}_{_text_of_time(int(at.timestamp() * 1000))}{by_chance}"


@lru_cache(maxsize=16)  # several ids are made in a millisecond
def _text_of_time(milliseconds: int) -> str:
    return "".join([_ALPHABET[(milliseconds >> shift) & 31] for shift in _TIME_SHIFTS])


def is_id(text: str) -> bool:
    """Tell whether a text has the form of our ids: such a text names a row and nothing else."""
    return _ID.fullmatch(text) is not None


def id_made_at(name: str) -> datetime:
    """Tell when an id was made: some providers find our names only by their time."""
    assert is_id(name), "not an id of ours"
    number = 0
    for character in name[-26:]:
        number = number << 5 | _ALPHABET.index(character)
    return _UNIX_EPOCH + timedelta(milliseconds=number >> 80)


def new_token() -> str:
    """Make a name that nobody can guess: 192 random bits, 32 URL-safe characters."""
    return secrets.token_urlsafe(24)


def new_order_code(at: datetime) -> int:
    """Make an order number for a provider: 41 bits of milliseconds since 2025, 12 random bits.

    It stays below 2**53, is not guessable from volume, and lies far above the small numbers that
    providers use in their test webhooks (payOS registers a webhook with order 123).
    """
    milliseconds = int((at - _ORDER_CODE_EPOCH).total_seconds() * 1000)
    return (milliseconds << _ORDER_CODE_RANDOM_BITS) | secrets.randbits(_ORDER_CODE_RANDOM_BITS)


def order_code_made_at(order_code: int) -> datetime:
    """Tell when an order code was made: some providers find our names only by their time."""
    return _ORDER_CODE_EPOCH + timedelta(milliseconds=order_code >> _ORDER_CODE_RANDOM_BITS)


def new_transfer_text() -> str:
    """Make the text of a bank transfer: nine characters that every bank's form takes.

    Source: payOS allows nine characters where the bank account is not linked through payOS.
    """
    return "PAY" + "".join(secrets.choice(_ALPHABET).upper() for _ in range(6))
