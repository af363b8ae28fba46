"""Column types that behave the same on MySQL, MariaDB and SQLite."""

from datetime import UTC, datetime
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, LargeBinary, String
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator, TypeEngine

from payment_service.storage.sealing import CannotOpen, Keyring
from payment_service.telemetry.masking import Masked

BigId = BigInteger().with_variant(Integer, "sqlite")
"""A 64-bit key; SQLite numbers rows by itself only when the column is called INTEGER."""

Payload = LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")
"""Bytes as they came or will be sent."""


def ascii_key(length: int) -> TypeEngine[str]:
    """Text that is compared byte by byte: ids, keys, references."""
    return String(length).with_variant(
        mysql.VARCHAR(length, charset="ascii", collation="ascii_bin"), "mysql", "mariadb"
    )


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC with microseconds in Python, naive UTC in the database.

    A naive value is a bug and is refused.
    """

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name in {"mysql", "mariadb"}:
            # Without fsp MySQL keeps whole seconds and rounds.
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("naive datetime")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


_keyrings: WeakKeyDictionary[Dialect, Keyring] = WeakKeyDictionary()


def use_keyring(dialect: Dialect, keyring: Keyring) -> None:
    """Have the sealed columns of an engine, which has a dialect of its own, use some keys."""
    _keyrings[dialect] = keyring


def _keyring_of(dialect: Dialect) -> Keyring:
    keyring = _keyrings.get(dialect)
    if keyring is None:
        raise CannotOpen("the database was opened without keys")
    return keyring


class _Sealed(TypeDecorator[Any]):
    """Bytes that only the service can read; `purpose` is table and column."""

    impl = LargeBinary
    cache_ok = True

    def __init__(self, purpose: str, length: int | None = None) -> None:
        super().__init__()
        self.purpose = purpose
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name in {"mysql", "mariadb"}:
            binary = mysql.VARBINARY(self.length) if self.length else mysql.MEDIUMBLOB()
            return dialect.type_descriptor(binary)
        return dialect.type_descriptor(LargeBinary())

    def _seal(self, data: bytes, dialect: Dialect) -> bytes:
        return _keyring_of(dialect).seal(data, self.purpose)

    def _open(self, sealed: bytes, dialect: Dialect) -> bytes:
        return _keyring_of(dialect).open(sealed, self.purpose)


class SealedText(_Sealed):
    """Text about a person: sealed in the database, masked in Python until it is revealed."""

    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        if value is None:
            return None
        text = value.reveal() if isinstance(value, Masked) else value
        return self._seal(text.encode(), dialect)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Masked | None:
        return None if value is None else Masked(self._open(value, dialect).decode())


class SealedBytes(_Sealed):
    """Bytes that hold data about people. Nothing is sealed as nothing: what was redacted."""

    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        return self._seal(value, dialect) if value else value

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        return self._open(value, dialect) if value else value
