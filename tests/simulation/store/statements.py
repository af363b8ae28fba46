"""Runs SQLAlchemy's Core statements on the tables."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cmp_to_key
from itertools import product
from operator import itemgetter
from typing import Any

from sqlalchemy import Column, Delete, Insert, Select, Table, Update
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.elements import Label, UnaryExpression
from sqlalchemy.sql.functions import FunctionElement

from tests.simulation.store.expressions import (
    NotSimulated,
    Row,
    Scope,
    Value,
    fixed_values,
    qualified,
    read,
)
from tests.simulation.store.faults import duplicate
from tests.simulation.store.tables import Record, SimulatedTable
from tests.simulation.store.transactions import Transaction

Parameters = Mapping[str, Any] | None
"""Values by the names of a statement's parameters."""


@dataclass(slots=True)
class Found:
    """What a select found: for each column an entity's rows or a value."""

    columns: list[Any]  # a Table for an entity, else None
    rows: list[tuple[Any, ...]]


async def insert(tx: Transaction, table: SimulatedTable, values: Row) -> Record:
    """Insert a row, waiting for whoever is about to take its keys or to change its parents."""
    row = table.complete(dict(values))
    key = table.key_of(row)
    while True:
        record = table.records.get(key)
        if record is not None and record.owner not in {None, tx} and record.is_dirty:
            await tx.wait_for(record.owner)
            continue
        if record is not None and record.seen_by(tx) is not None:
            raise duplicate(table.name, "PRIMARY", table.key_names)
        busy = table.holder_of(row, record, tx, table.uniques) or _busy_parent(tx, table, row)
        if busy is None:
            break
        await tx.wait_for(busy)
    table.require_parents(row, tx.store.tables, tx)
    record = record or Record(table, key)
    await tx.take(record)
    tx.write(record, row)
    return record


def _busy_parent(tx: Transaction, table: SimulatedTable, row: Row) -> Transaction | None:
    """Return who holds the row that ours names: InnoDB reads it under a lock."""
    for column, parent in table.parents:
        if row[column] is not None:
            record = tx.store.tables[parent].records.get((row[column],))
            if record is not None and record.owner not in {None, tx}:
                return record.owner
    return None


async def change(tx: Transaction, record: Record, values: Row) -> Row:
    """Write some columns of a row that we hold."""
    table = record.table
    for name in values:
        values[name] = table.checked(name, values[name])
    row = table.compute({**(record.seen_by(tx) or {}), **values})
    touched = table.uniques_of(values)
    while touched and (busy := table.holder_of(row, record, tx, touched)) is not None:
        await tx.wait_for(busy)
    tx.write(record, row)
    return row


async def update(
    tx: Transaction, statement: Update, parameters: Parameters
) -> list[tuple[Record, Row]]:
    """Change the rows that match; return them as they are then."""
    table, scope = _table(tx, statement.table), _scope(tx, parameters)
    values = {
        column if isinstance(column, str) else column.name: read(value, scope)
        for column, value in statement._values.items()
    }
    done = []
    for record in await _hold(tx, table, statement._where_criteria, scope):
        before = record.seen_by(tx) or {}
        done.append(
            (record, await change(tx, record, {name: it(before) for name, it in values.items()}))
        )
    return done


async def delete(tx: Transaction, statement: Delete, parameters: Parameters) -> list[Record]:
    """Delete the rows that match."""
    table = _table(tx, statement.table)
    records = await _hold(tx, table, statement._where_criteria, _scope(tx, parameters))
    for record in records:
        tx.write(record, None)
    return records


async def insert_all(
    tx: Transaction, statement: Insert, rows: Sequence[Mapping[str, Any]] | None = None
) -> list[Record]:
    """Insert the rows of a statement, or those that come with it."""
    table = _table(tx, statement.table)
    if rows is not None:
        return [await insert(tx, table, dict(row)) for row in rows]
    if statement._multi_values or statement.select is not None or statement._values is None:
        raise NotSimulated(f"{statement}")
    values = {
        column if isinstance(column, str) else column.name: value.value
        for column, value in statement._values.items()
    }
    return [await insert(tx, table, values)]


async def _hold(
    tx: Transaction,
    table: SimulatedTable,
    criteria: Iterable[Any],
    scope: Scope,
    *,
    skip: bool = False,
) -> list[Record]:
    """Take the rows that match, each as it is when nobody else holds it."""
    matches = _matcher(criteria, scope)
    held = []
    for record in list(table.candidates(fixed_values(criteria, scope))):
        while (row := record.seen_by(tx)) is not None and matches(row):
            if record.owner in {None, tx}:
                await tx.take(record)
                held.append(record)
                break
            if skip:
                break
            await tx.wait_for(record.owner)
    return held


async def select(tx: Transaction, statement: Select[Any], parameters: Parameters) -> Found:
    """Answer a select; FOR UPDATE holds the rows."""
    _refuse_unknown(statement)
    tables = _tables_of(statement)
    scope = _scope(tx, parameters, is_joined=len(tables) != 1)
    lock = statement._for_update_arg
    if len(tables) != 1 and lock is not None:
        rows = await _hold_joined(tx, tables, statement, scope)
    elif lock is not None:
        table = tx.store.tables[tables[0]]
        await _hold(tx, table, statement._where_criteria, scope, skip=bool(lock.skip_locked))
        rows = _matching(tx, table, statement, scope, only_mine=True)
    else:
        rows = _plain_rows(tx, tables, statement, scope)
    return _project(statement, _cut(_sorted(tx, rows, statement, scope), statement, scope), scope)


def _scope(tx: Transaction, parameters: Parameters, *, is_joined: bool = False) -> Scope:
    values = parameters or {}

    def subquery(statement: Select[Any]) -> list[Any]:
        _refuse_unknown(statement)
        tables = _tables_of(statement)
        inner = _scope(tx, parameters, is_joined=len(tables) != 1)
        rows = _plain_rows(tx, tables, statement, inner)
        return [row[0] for row in _project(statement, _cut(rows, statement, inner), inner).rows]

    return Scope(subquery, values, qualified) if is_joined else Scope(subquery, values)


def _plain_rows(
    tx: Transaction, names: list[str], statement: Select[Any], scope: Scope
) -> list[Row]:
    if len(names) == 1:
        return _matching(tx, tx.store.tables[names[0]], statement, scope)
    matches = _matcher([*statement._where_criteria, *_join_conditions(statement)], scope)
    merged = []
    for parts in product(*([row for _, row in tx.store.tables[n].rows(tx)] for n in names)):
        row = _Merged(zip(names, parts, strict=True))
        if matches(row):
            merged.append(row)
    return merged


async def _hold_joined(
    tx: Transaction, names: list[str], statement: Select[Any], scope: Scope
) -> list[Row]:
    """Hold rows of a table that the criteria speak of, then those that are joined to them."""
    if len(names) != 2:
        raise NotSimulated(f"{statement}")
    first, other = names
    matches = _matcher(_join_conditions(statement), scope)
    alone = Scope(scope.subquery, scope.values)
    merged = []
    for record in await _hold(tx, tx.store.tables[first], statement._where_criteria, alone):
        row = record.seen_by(tx) or {}
        for joined in list(tx.store.tables[other].records.values()):
            while (its := joined.seen_by(tx)) is not None:
                together = _Merged([(first, row), (other, its)])
                if not matches(together):
                    break
                if joined.owner in {None, tx}:
                    await tx.take(joined)
                    merged.append(together)
                    break
                await tx.wait_for(joined.owner)
    return merged


class _Merged:
    """A row of several tables: columns by table and name."""

    __slots__ = ("parts",)

    def __init__(self, parts: Iterable[tuple[str, Row]]) -> None:
        self.parts = dict(parts)

    def __getitem__(self, column: tuple[str, str]) -> Any:
        table, name = column
        return self.parts[table][name]


def _matching(
    tx: Transaction,
    table: SimulatedTable,
    statement: Select[Any],
    scope: Scope,
    *,
    only_mine: bool = False,
) -> list[Row]:
    criteria = statement._where_criteria
    matches = _matcher(criteria, scope)
    return [
        row
        for record in table.candidates(fixed_values(criteria, scope))
        if (row := record.seen_by(tx)) is not None
        and matches(row)
        and (record.owner is tx or not only_mine)
    ]


def _matcher(criteria: Iterable[Any], scope: Scope) -> Any:
    conditions = [read(clause, scope) for clause in criteria]

    def matches(row: Any) -> bool:
        return all(condition(row) for condition in conditions)

    return matches


def _sorted(tx: Transaction, rows: list[Row], statement: Select[Any], scope: Scope) -> list[Row]:
    if len(rows) > 1:
        tx.store.shuffle(rows)  # whoever needs an order asks for it
    for clause in reversed(statement._order_by_clauses):
        is_descending = getattr(clause, "modifier", None) is operators.desc_op
        value = read(clause.element if isinstance(clause, UnaryExpression) else clause, scope)
        rows.sort(key=cmp_to_key(_comparison(value)), reverse=is_descending)
    return rows


def _comparison(value: Value) -> Any:
    def compare(one: Row, other: Row) -> int:
        left, right = value(one), value(other)
        if left is None or right is None:
            return (left is not None) - (right is not None)  # NULLs come first
        return (left > right) - (left < right)

    return compare


def _cut(rows: list[Row], statement: Select[Any], scope: Scope) -> list[Row]:
    limit, offset = statement._limit_clause, statement._offset_clause
    start = 0 if offset is None else scope.value_of(offset)
    return rows[start:] if limit is None else rows[start : start + scope.value_of(limit)]


def _project(statement: Select[Any], rows: list[Row], scope: Scope) -> Found:
    columns = [each.element if isinstance(each, Label) else each for each in statement._raw_columns]
    if statement._group_by_clauses:
        return _group(columns, statement, rows)
    if any(isinstance(column, FunctionElement) for column in columns):
        return Found([None] * len(columns), [tuple(_aggregate(each, rows) for each in columns)])
    readers: list[Any] = []
    for column in columns:
        if isinstance(column, Table):
            name = column.name
            readers.append(lambda row, name=name: row.parts[name] if type(row) is _Merged else row)
        else:
            readers.append(read(column, scope))
    entities = [column if isinstance(column, Table) else None for column in columns]
    return Found(entities, [tuple(it(row) for it in readers) for row in rows])


def _group(columns: list[Any], statement: Select[Any], rows: list[Row]) -> Found:
    keys = [clause.name for clause in statement._group_by_clauses]
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    told = [
        tuple(
            _aggregate(each, members)
            if isinstance(each, FunctionElement)
            else key[keys.index(each.name)]
            for each in columns
        )
        for key, members in groups.items()
    ]
    return Found([None] * len(columns), told)


def _aggregate(function: Any, rows: list[Row]) -> Any:
    arguments = [each for each in function.clauses if isinstance(each, Column)]
    if function.name == "coalesce":
        inner, otherwise = function.clauses
        value = _aggregate(inner, rows)
        return otherwise.value if value is None else value
    if function.name == "count" and not arguments:
        return len(rows)
    values = [row[arguments[0].name] for row in rows if row[arguments[0].name] is not None]
    match function.name:
        case "count":
            return len(values)
        case "sum":
            return sum(values) if values else None
        case "min":
            return min(values, default=None)
        case "max":
            return max(values, default=None)
    raise NotSimulated(f"the function {function.name}")


def _tables_of(statement: Select[Any]) -> list[str]:
    """Name the tables of a select, in the order in which it mentions them."""
    names: dict[str, None] = {}
    for column in statement._raw_columns:
        if isinstance(column, Table):
            names[column.name] = None
        else:
            _mention(column, names)
    for target, *_ in statement._setup_joins:
        names[target.name] = None
    if not names:
        for clause in statement._where_criteria:
            _mention(clause, names)
    return list(names)


def _mention(clause: Any, names: dict[str, None]) -> None:
    if isinstance(clause, Column):
        names[clause.table.name] = None
        return
    for part in visitors.iterate(clause):
        if isinstance(part, Column):
            names[part.table.name] = None


def _join_conditions(statement: Select[Any]) -> list[Any]:
    conditions = []
    for _, condition, _, flags in statement._setup_joins:
        if condition is None or flags["isouter"] or flags["full"]:
            raise NotSimulated(f"the join in {statement}")
        conditions.append(condition)
    return conditions


def _refuse_unknown(statement: Select[Any]) -> None:
    if (
        statement._having_criteria
        or statement._distinct
        or statement._correlate
        or statement._with_options
    ):
        raise NotSimulated(f"{statement}")


def _table(tx: Transaction, target: Any) -> SimulatedTable:
    return tx.store.tables[target.name]


first = itemgetter(0)
