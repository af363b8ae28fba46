"""Column types that behave the same on MySQL, MariaDB and SQLite."""

from datetime import UTC, datetime
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, LargeBinary, String, event
from sqlalchemy.dialects import mysql
from sqlalchemy.orm.attributes import set_committed_value
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
        in_utc = value if value.tzinfo is UTC else value.astimezone(UTC)
        return in_utc.replace(tzinfo=None)

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


class _OfRow(Masked):
    """A text about to be sealed for a row."""

    __slots__ = ("row",)
    row: str


class _Unopened(Masked):
    """A sealed text as it was read. It opens when the row that it was found in is known."""

    __slots__ = ("keyring", "purpose", "sealed")
    keyring: Keyring
    purpose: str
    sealed: bytes

    def open(self, row: str) -> Masked:
        """Open it; what does not open says so when somebody needs it, not to all who list it."""
        try:
            return Masked(self.keyring.open(self.sealed, _purpose(self.purpose, row)).decode())
        except CannotOpen:
            return self

    def reveal(self) -> str:
        """Refuse.

        Raises:
            CannotOpen: Always.
        """
        raise CannotOpen("the key is gone, or the value was changed, or belongs to another row")


class SealedText(_Sealed):
    """Text about a person: sealed in the database, masked in Python until it is revealed.

    It belongs to its row as well as to its column: whoever can write to the database, but has no
    key, cannot pay one refund out to the account of another. `seal_by_row` must know the model.
    """

    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        if value is None:
            return None
        assert isinstance(value, _OfRow), "sealed texts are written with their rows"
        purpose = _purpose(self.purpose, value.row)
        return _keyring_of(dialect).seal(value.reveal().encode(), purpose)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Masked | None:
        if value is None:
            return None
        unopened = _Unopened("")
        unopened.keyring, unopened.purpose = _keyring_of(dialect), self.purpose
        unopened.sealed = value
        return unopened


def seal_by_row(model: type[Any]) -> None:
    """Tie the sealed texts of a model to its rows, when they are written and when they are read."""
    names = [
        name
        for name, column in model.__mapper__.columns.items()
        if isinstance(column.type, SealedText)
    ]

    def address(_mapper: Any, _connection: Any, target: Any) -> None:
        for name in names:
            value = getattr(target, name)
            if value is not None and not isinstance(value, _OfRow):
                addressed = _OfRow(Masked(value).reveal())
                addressed.row = target.id
                setattr(target, name, addressed)

    def open_all(target: Any, *_context: Any) -> None:
        for name in names:
            value = target.__dict__.get(name)
            if isinstance(value, _Unopened):
                set_committed_value(target, name, value.open(target.id))

    event.listen(model, "before_insert", address)
    event.listen(model, "load", open_all)
    event.listen(model, "refresh", open_all)


def _purpose(purpose: str, row: str) -> str:
    return f"{purpose} {row}"


class SealedBytes(_Sealed):
    """Bytes that hold data about people. Nothing is sealed as nothing: what was redacted."""

    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        return _keyring_of(dialect).seal(value, self.purpose) if value else value

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        return _keyring_of(dialect).open(value, self.purpose) if value else value
