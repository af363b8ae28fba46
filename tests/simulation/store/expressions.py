"""Reads SQLAlchemy expressions and answers them over rows, with SQL's three-valued logic.

It knows what the service says, and refuses anything else loudly: a simulation that guesses, lies.
"""

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType
from typing import Any

from sqlalchemy import Column, Select
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import (
    BinaryExpression,
    BindParameter,
    BooleanClauseList,
    False_,
    Grouping,
    Null,
    True_,
    Tuple,
    UnaryExpression,
)

Row = dict[str, Any]
Value = Callable[[Row], Any]
"""Computes a value from a row; None is NULL, and unknown."""
Subquery = Callable[[Select[Any]], Iterable[Any]]
Name = Callable[[Column[Any]], Any]
"""Tells under which key a row has a column."""


class NotSimulated(Exception):
    """A statement that the store has not been taught. Teach it, and tests/contract/storage."""


_COMPARISONS: dict[Any, Callable[[Any, Any], Any]] = {
    operators.eq: operator.eq,
    operators.ne: operator.ne,
    operators.lt: operator.lt,
    operators.le: operator.le,
    operators.gt: operator.gt,
    operators.ge: operator.ge,
    operators.add: operator.add,
    operators.sub: operator.sub,
    operators.mul: operator.mul,
}


def plain(column: Column[Any]) -> str:
    """Name a column as rows of one table do."""
    return column.name


def qualified(column: Column[Any]) -> tuple[str, str]:
    """Name a column as rows of several tables do."""
    return column.table.name, column.name


@dataclass(frozen=True, slots=True)
class Scope:
    """What an expression is read in: its subqueries, its columns, and values by parameter."""

    subquery: Subquery
    values: Mapping[str, Any]
    name: Name = plain

    def value_of(self, parameter: BindParameter[Any]) -> Any:
        """Return the value that a parameter was given, or was made with."""
        return self.values.get(parameter.key, parameter.value)


def read(clause: Any, scope: Scope) -> Value:  # noqa: C901, PLR0911  # one case per kind
    """Turn an expression into a function of a row."""
    match clause:
        case Column():
            return operator.itemgetter(scope.name(clause))
        case BindParameter():
            value = scope.value_of(clause)
            return lambda _row: value
        case BinaryExpression():
            return _binary(clause, scope)
        case BooleanClauseList():
            return _boolean(clause, scope)
        case Tuple():
            parts = [read(part, scope) for part in clause.clauses]
            return lambda row: tuple(part(row) for part in parts)
        case Grouping():
            return read(clause.element, scope)
        case UnaryExpression() if clause.operator is operators.inv:
            inner = read(clause.element, scope)
            return lambda row: None if (it := inner(row)) is None else not it
        case Null():
            return lambda _row: None
        case True_():
            return lambda _row: True
        case False_():
            return lambda _row: False
    raise NotSimulated(f"the expression {clause} ({type(clause).__name__})")


def _binary(clause: BinaryExpression[Any], scope: Scope) -> Value:
    done = clause.operator
    left = read(clause.left, scope)
    if done in {operators.in_op, operators.not_in_op}:
        return _within(left, clause.right, scope, wanted=done is operators.in_op)
    right = read(clause.right, scope)
    if done is operators.is_:
        return lambda row: left(row) is right(row)
    if done is operators.is_not:
        return lambda row: left(row) is not right(row)
    if done is operators.startswith_op:
        prefix = _unescaped(scope.value_of(clause.right), clause.modifiers.get("escape"))
        return lambda row: None if (it := left(row)) is None else it.startswith(prefix)
    compare = _COMPARISONS.get(done)
    if compare is None:
        raise NotSimulated(f"the operator {done} in {clause}")

    def compute(row: Row) -> Any:
        one, other = left(row), right(row)
        return None if one is None or other is None else compare(one, other)

    return compute


def _within(left: Value, right: Any, scope: Scope, *, wanted: bool) -> Value:
    if isinstance(right, BindParameter):
        members = list(scope.value_of(right))
    elif isinstance(getattr(right, "element", None), Select):
        members = list(scope.subquery(right.element))
    else:
        raise NotSimulated(f"IN {right}")
    has_null = None in members

    def compute(row: Row) -> Any:
        value = left(row)
        if value is None and members:
            return None
        if value in members:
            return wanted
        return None if has_null else not wanted

    return compute


def _boolean(clause: BooleanClauseList, scope: Scope) -> Value:
    parts = [read(part, scope) for part in clause.clauses]
    decisive = clause.operator is operators.or_

    def compute(row: Row) -> Any:
        unknown = False
        for part in parts:
            value = part(row)
            if value is None:
                unknown = True
            elif bool(value) is decisive:
                return decisive
        return None if unknown else not decisive

    return compute


def _unescaped(pattern: str, escape: str | None) -> str:
    if escape is None:
        if "%" in pattern or "_" in pattern:
            raise NotSimulated(f"the pattern {pattern}")
        return pattern
    return re.sub(re.escape(escape) + "(.)", r"\1", pattern)


def fixed_values(criteria: Iterable[Any], scope: Scope) -> dict[str, Any]:
    """Tell which columns an expression pins to a value: rows can then be looked up by key."""
    pinned: dict[str, Any] = {}
    for clause in criteria:
        if (
            type(clause) is BinaryExpression
            and clause.operator is operators.eq
            and isinstance(clause.left, Column)
            and isinstance(clause.right, BindParameter)
        ):
            pinned[clause.left.name] = scope.value_of(clause.right)
    return pinned


_SQL_WORDS = (
    (r"\bIS NOT NULL\b", "is not None"),
    (r"\bIS NULL\b", "is None"),
    (r"(?<![<>!=])=(?!=)", "=="),
    (r"<>", "!="),
    (r"\bAND\b", "and"),
    (r"\bOR\b", "or"),
    (r"\bNOT\b", "not"),
    (r"\bIN\b", "in"),
    (r"\bNULL\b", "None"),
)
_CASE = re.compile(r"\bCASE WHEN (.+) THEN (.+?)(?: ELSE (.+?))? END\b")


@lru_cache(maxsize=256)
def _translated(sql: str) -> CodeType:
    text = _CASE.sub(_conditional, " ".join(sql.split()))
    for word, python in _SQL_WORDS:
        text = re.sub(word, python, text)
    return compile(text, "<schema>", "eval")


def _conditional(case: re.Match[str]) -> str:
    condition, then, otherwise = case.groups()
    return f"(({then}) if ({condition}) else ({otherwise or 'NULL'}))"


def computed_by(sql: str, row: Mapping[str, Any]) -> Any:
    """Evaluate the text of a CHECK or of a computed column over a row; None is NULL.

    The schema's own text is the source, so that a rule which changes there changes here.
    """
    try:
        return eval(_translated(sql), {"__builtins__": {}}, row)
    except TypeError:
        return None  # NULL was compared
