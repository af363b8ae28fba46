"""Tables in memory: rows with one committed and at most one pending version, keys, constraints.

What InnoDB does under READ COMMITTED: readers see what is committed and what they wrote themselves;
whoever writes holds the row until the end; a key that somebody else is about to take is waited for.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import CheckConstraint, Column, MetaData, Table, UniqueConstraint

from tests.simulation.store.expressions import Row, computed_by
from tests.simulation.store.faults import bad_value, check_failed, duplicate, parent_missing

if TYPE_CHECKING:
    from tests.simulation.store.transactions import Transaction

Key = tuple[Any, ...]


class Record:
    """One row that is, was or will be there. `owner` holds it until its transaction ends."""

    __slots__ = ("committed", "is_dirty", "key", "owner", "pending", "table")

    def __init__(self, table: "SimulatedTable", key: Key) -> None:
        self.table = table
        self.key = key
        self.committed: Row | None = None
        self.pending: Row | None = None
        self.is_dirty = False
        self.owner: Transaction | None = None

    def seen_by(self, reader: "Transaction | None") -> Row | None:
        """Return what a reader sees of it."""
        return self.pending if self.is_dirty and self.owner is reader else self.committed


class SimulatedTable:
    """A table of the schema."""

    def __init__(self, schema: Table) -> None:
        self.name = schema.name
        self.schema = schema
        self.records: dict[Key, Record] = {}
        self.key_names = tuple(column.name for column in schema.primary_key.columns)
        self.columns = {column.name: column for column in schema.columns}
        self.numbered = schema.autoincrement_column
        self.next_number = 1
        self._computed = [
            (column.name, str(column.computed.sqltext)) for column in schema.columns
            if column.computed is not None
        ]  # fmt: skip
        self.uniques: dict[str, tuple[str, ...]] = {}
        self.checks: list[tuple[str, str]] = []
        for constraint in sorted(schema.constraints, key=lambda each: str(each.name)):
            if isinstance(constraint, UniqueConstraint):
                names = tuple(column.name for column in constraint.columns)
                self.uniques[str(constraint.name or f"uq_{self.name}_{'_'.join(names)}")] = names
            elif isinstance(constraint, CheckConstraint):
                self.checks.append((str(constraint.name), _text(constraint)))
        self.parents = [(key.parent.name, key.column.table.name) for key in schema.foreign_keys]
        self._taken: dict[str, dict[Key, list[Record]]] = {name: {} for name in self.uniques}
        self._limits = {column.name: _limit(column) for column in schema.columns}

    def key_of(self, row: Row) -> Key:
        """Name a row."""
        return tuple(row[name] for name in self.key_names)

    def rows(self, reader: "Transaction | None") -> Iterator[tuple[Record, Row]]:
        """Yield what a reader sees, in the order in which it was inserted."""
        for record in list(self.records.values()):
            row = record.seen_by(reader)
            if row is not None:
                yield record, row

    def candidates(self, pinned: Row) -> Iterable[Record]:
        """Return the records that may have these values, by a key if there is one."""
        if pinned:
            if all(name in pinned for name in self.key_names):
                record = self.records.get(tuple(pinned[name] for name in self.key_names))
                return () if record is None else (record,)
            for name, columns in self.uniques.items():
                if all(column in pinned for column in columns):
                    return self._taken[name].get(tuple(pinned[each] for each in columns), ())
        return list(self.records.values())

    def complete(self, row: Row) -> Row:
        """Fill in defaults, numbers and computed columns, and refuse what no column can hold."""
        for name, column in self.columns.items():
            if name in row:
                row[name] = self.checked(name, row[name])
            elif column.computed is not None:
                continue
            elif column is self.numbered:
                row[name] = self.next_number
            elif column.default is not None and column.default.is_scalar:
                row[name] = _plain(column.default.arg)
            elif column.nullable:
                row[name] = None
            else:
                raise bad_value(self.name, name, "no value")
        if self.numbered is not None:
            # Given when the row is inserted, and never again: not in the order of commits.
            self.next_number = max(self.next_number, row[self.numbered.name] + 1)
        return self.compute(row)

    def compute(self, row: Row) -> Row:
        """Set the computed columns, and check the rules of the table."""
        for name, sql in self._computed:
            row[name] = computed_by(sql, row)
        for name, sql in self.checks:
            if computed_by(sql, row) is False:
                raise check_failed(self.name, name)
        return row

    def checked(self, name: str, value: Any) -> Any:
        """Return a value as the database would keep it.

        Raises:
            DBAPIError: It does not fit.
        """
        column = self.columns.get(name)
        if column is None:
            raise bad_value(self.name, name, "no such column")
        if value is None:
            if not column.nullable:
                raise bad_value(self.name, name, "NULL")
            return None
        value = _plain(value)
        if isinstance(value, str):
            limit = self._limits[name]
            if limit is not None and len(value) > limit:
                raise bad_value(self.name, name, f"longer than {limit}")
        elif isinstance(value, datetime) and value.tzinfo is None:
            raise ValueError("naive datetime")
        return value

    def holder_of(
        self, row: Row, mine: Record | None, writer: "Transaction", names: Iterable[str]
    ) -> "Transaction | None":
        """Look for a row with a key of `row`; return who must be waited for to know.

        Raises:
            IntegrityError: The key is taken.
        """
        for name in names:
            key = tuple(row[column] for column in self.uniques[name])
            if None in key:
                continue
            for record in self._taken[name].get(key, ()):
                if record is mine:
                    continue
                if record.is_dirty and record.owner is not writer:
                    if self._has(record.pending, name, key) or self._has(
                        record.committed, name, key
                    ):
                        return record.owner
                elif self._has(record.seen_by(writer), name, key):
                    raise duplicate(self.name, name, self.uniques[name])
        return None

    def enter(self, record: Record, row: Row) -> None:
        """Note the keys of a row. They stay noted: whoever looks compares the row itself."""
        self.records.setdefault(record.key, record)
        for name, columns in self.uniques.items():
            records = self._taken[name].setdefault(tuple(row[column] for column in columns), [])
            if record not in records:
                records.append(record)

    def uniques_of(self, changed: Iterable[str]) -> list[str]:
        """Name the unique keys that a change of some columns touches."""
        touched = {*changed, *(name for name, _ in self._computed)}
        return [name for name, columns in self.uniques.items() if not touched.isdisjoint(columns)]

    def missing_parent(self, row: Row, tables: "Tables", writer: "Transaction") -> str | None:
        """Name the table in which the row's parent is missing."""
        for column, parent in self.parents:
            if row[column] is not None:
                record = tables[parent].records.get((row[column],))
                if record is None or record.seen_by(writer) is None:
                    return parent
        return None

    def require_parents(self, row: Row, tables: "Tables", writer: "Transaction") -> None:
        """Refuse a row whose parent is missing."""
        missing = self.missing_parent(row, tables, writer)
        if missing is not None:
            raise parent_missing(self.name, missing)

    def _has(self, row: Row | None, name: str, key: Key) -> bool:
        return row is not None and tuple(row[column] for column in self.uniques[name]) == key


class Tables(dict[str, SimulatedTable]):
    """All tables of a schema, by name."""

    def __init__(self, metadata: MetaData) -> None:
        super().__init__((table.name, SimulatedTable(table)) for table in metadata.sorted_tables)


def _plain(value: Any) -> Any:
    """Return what a driver would give back: no enums, no objects that are shared with the code."""
    if type(value) in {str, int, bool, bytes, datetime, float}:
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return dict(value)
    return value


@cache  # every schedule has tables of its own
def _text(constraint: CheckConstraint) -> str:
    return str(constraint.sqltext)


def _limit(column: Column[Any]) -> int | None:
    return getattr(column.type, "length", None)
