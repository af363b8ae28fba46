"""A session: the part of SQLAlchemy's `AsyncSession` that the service uses, on the store.

Entities are the service's own classes; what an attribute was before it was set is SQLAlchemy's own
record of it. Every statement is a moment at which others go on, a connection breaks or a process
dies; as in SQLAlchemy, what is pending is flushed before a query.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Self, cast

from sqlalchemy import Delete, Insert, Select, Update
from sqlalchemy.exc import NoResultFound
from sqlalchemy.orm import Mapper
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.orm.exc import StaleDataError

from payment_service.storage.models import Base
from tests.simulation.store import statements
from tests.simulation.store.expressions import NotSimulated, Row
from tests.simulation.store.tables import Record
from tests.simulation.store.transactions import Surroundings, Transaction


class Result:
    """What a statement answered. Rows are plain tuples."""

    def __init__(self, rows: list[tuple[Any, ...]], rowcount: int) -> None:
        self._rows = rows
        self.rowcount = rowcount

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self._rows)

    def all(self) -> list[tuple[Any, ...]]:
        return self._rows

    def scalars(self) -> "Scalars":
        return Scalars([row[0] for row in self._rows])

    def one(self) -> tuple[Any, ...]:
        (row,) = self._rows
        return row

    def first(self) -> tuple[Any, ...] | None:
        return self._rows[0] if self._rows else None

    def one_or_none(self) -> tuple[Any, ...] | None:
        return self.one() if self._rows else None

    def scalar_one(self) -> Any:
        return self.one()[0]

    def scalar_one_or_none(self) -> Any:
        return self.one()[0] if self._rows else None

    def scalar(self) -> Any:
        return self._rows[0][0] if self._rows else None


class Scalars(Sequence[Any]):
    """The first column of an answer."""

    def __init__(self, values: list[Any]) -> None:
        self._values = values

    def __getitem__(self, place: Any) -> Any:
        return self._values[place]

    def __len__(self) -> int:
        return len(self._values)

    def all(self) -> list[Any]:
        return self._values

    def first(self) -> Any:
        return self._values[0] if self._values else None


class SimulatedSession:
    """One unit's session. Leaving it without a commit undoes everything."""

    def __init__(self, store: Any, surroundings: Surroundings, *, may_write: bool) -> None:
        self._store = store
        self._surroundings = surroundings
        self._may_write = may_write
        self._tx: Transaction = store.begin(surroundings)
        self._known: dict[tuple[str, tuple[Any, ...]], Any] = {}
        self._new: list[Any] = []
        self._flushes_itself = True
        self.info: dict[str, Any] = {}

    @property
    @contextmanager
    def no_autoflush(self) -> Iterator[None]:
        """Let what is asked in a block write nothing first."""
        before, self._flushes_itself = self._flushes_itself, False
        try:
            yield
        finally:
            self._flushes_itself = before

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        self._tx.roll_back()

    async def commit(self) -> None:
        await self.flush()
        await self._tx.commit()

    async def rollback(self) -> None:
        self._tx.roll_back()

    def __contains__(self, instance: object) -> bool:
        return any(instance is each for each in (*self._known.values(), *self._new))

    def add(self, instance: Any) -> None:
        self._new.append(instance)

    def add_all(self, instances: Iterable[Any]) -> None:
        self._new.extend(instances)

    async def get(
        self,
        entity: type[Any],
        ident: Any,
        *,
        with_for_update: bool = False,
        populate_existing: bool = False,
    ) -> Any:
        key = ident if isinstance(ident, tuple) else (ident,)
        name = entity.__tablename__
        known = self._known.get((name, key))
        if known is not None and not (populate_existing or with_for_update):
            return known
        await self.flush()
        await self._statement(writes=with_for_update)
        record = self._store.tables[name].records.get(key)
        if record is None:
            return None
        if with_for_update:
            while record.owner is not self._tx and record.committed is None:
                if record.owner is None:
                    return None  # there is no such row
                await self._tx.wait_for(record.owner)
            await self._tx.take(record)
        row = record.seen_by(self._tx)
        return None if row is None else self._load(entity, key, row, populate=populate_existing)

    async def get_one(self, entity: type[Any], ident: Any, **options: Any) -> Any:
        found = await self.get(entity, ident, **options)
        if found is None:
            raise NoResultFound(f"no {entity.__name__} {ident}")
        return found

    async def refresh(self, instance: Any) -> None:
        await self.flush()
        await self._statement()
        mapper, key = _mapper(type(instance)), _key(instance)
        record = self._store.tables[instance.__tablename__].records[key]
        _fill(instance, mapper, cast("Row", record.seen_by(self._tx)))

    async def scalar(self, statement: Any, values: Any = None) -> Any:
        return (await self.execute(statement, values)).scalar()

    async def scalars(self, statement: Any, values: Any = None) -> Scalars:
        return (await self.execute(statement, values)).scalars()

    async def execute(self, statement: Any, values: Any = None) -> Result:
        if self._flushes_itself:
            await self.flush()
        match statement:
            case Select():
                await self._statement(writes=statement._for_update_arg is not None)
                return await self._select(statement, values)
            case Insert():
                await self._statement(writes=True)
                return Result([], len(await statements.insert_all(self._tx, statement, values)))
            case Update():
                await self._statement(writes=True)
                changed = await statements.update(self._tx, statement, values)
                if not changed:
                    self._note_missed(statement)
                if statement._execution_options.get("synchronize_session", "auto"):
                    self._synchronise(statement, changed)
                return Result([], len(changed))
            case Delete():
                await self._statement(writes=True)
                gone = await statements.delete(self._tx, statement, values)
                for record in gone:
                    self._known.pop((record.table.name, record.key), None)
                return Result([], len(gone))
        raise NotSimulated(f"{statement}")

    async def flush(self) -> None:
        """Write what was added and changed: parents before children, inserts in their order."""
        if not self._new and not any(
            instance_state(each).modified for each in self._known.values()
        ):
            return
        new, self._new = self._new, []
        changed = [each for each in self._known.values() if instance_state(each).modified]
        work = sorted(
            [*((False, each) for each in changed), *((True, each) for each in new)],
            key=lambda item: _place(type(item[1])),
        )
        for is_new, instance in work:
            if is_new:
                await self._insert(instance)
            else:
                await self._update(instance)

    async def _insert(self, instance: Any) -> None:
        await self._statement(writes=True)
        mapper = _mapper(type(instance))
        held = instance.__dict__
        values = {column: held[name] for name, column in _columns(mapper) if name in held}
        table = self._store.tables[instance.__tablename__]
        record = await statements.insert(self._tx, table, values)
        _fill(instance, mapper, cast("Row", record.pending))
        self._known[(record.table.name, record.key)] = instance

    async def _update(self, instance: Any) -> None:
        state = instance_state(instance)
        held, before = instance.__dict__, state.committed_state
        values = {
            column: held[name]
            for name, column in _columns(_mapper(type(instance)))
            if name in before and before[name] != held[name]
        }
        _forget_changes(instance)
        if not values:
            return
        await self._statement(writes=True)
        table = self._store.tables[instance.__tablename__]
        record = table.records[_key(instance)]
        await self._tx.take(record)
        if record.seen_by(self._tx) is None:
            raise StaleDataError(f"the row of {instance} is gone")
        await statements.change(self._tx, record, values)

    async def _select(self, statement: Select[Any], values: statements.Parameters = None) -> Result:
        found = await statements.select(self._tx, statement, values)
        populate = bool(statement._execution_options.get("populate_existing", False))
        rows = found.rows
        for place, table in enumerate(found.columns):
            if table is None:
                continue
            entity = statement.column_descriptions[place]["entity"]
            key_of = self._store.tables[table.name].key_of
            rows = [
                (*row[:place],
                 self._load(entity, key_of(row[place]), row[place], populate=populate),
                 *row[place + 1 :])
                for row in rows
            ]  # fmt: skip
        return Result(rows, len(rows))

    def _load(self, entity: type[Any], key: tuple[Any, ...], row: Row, *, populate: bool) -> Any:
        known = self._known.get((entity.__tablename__, key))
        if known is not None and not populate:
            return known
        mapper = _mapper(entity)
        instance = known if known is not None else mapper.class_manager.new_instance()
        _fill(instance, mapper, row)
        self._known[(entity.__tablename__, key)] = instance
        return instance

    def _synchronise(self, statement: Update, changed: list[tuple[Record, Row]]) -> None:
        names = {getattr(column, "name", column) for column in statement._values}
        for record, row in changed:
            known = self._known.get((record.table.name, record.key))
            if known is not None:
                for name, column in _columns(_mapper(type(known))):
                    if column in names:
                        known.__dict__[name] = row[column]

    def _note_missed(self, statement: Update) -> None:
        names = {getattr(column, "name", column) for column in statement._values}
        if "response_body" in names:
            self._store.note("a zombie was fenced off")

    async def _statement(self, *, writes: bool = False) -> None:
        if writes:
            assert self._may_write, "a reading session must not write or lock"
        await self._surroundings.statement(self._tx)
        self._tx.require_alive()


@lru_cache(maxsize=64)
def _mapper(entity: type[Any]) -> Mapper[Any]:
    return cast("Mapper[Any]", entity.__mapper__)


@lru_cache(maxsize=64)
def _columns(mapper: Mapper[Any]) -> tuple[tuple[str, str], ...]:
    """Pair the names of the attributes with those of the columns."""
    return tuple((each.key, each.columns[0].name) for each in mapper.column_attrs)


@lru_cache(maxsize=64)
def _place(entity: type[Any]) -> int:
    """Tell when an entity is written: after those that it refers to."""
    return Base.metadata.sorted_tables.index(entity.__table__)


def _key(instance: Any) -> tuple[Any, ...]:
    mapper = _mapper(type(instance))
    return tuple(
        instance.__dict__[mapper.get_property_by_column(column).key]
        for column in mapper.primary_key
    )


def _fill(instance: Any, mapper: Mapper[Any], row: Row) -> None:
    held = instance.__dict__
    for name, column in _columns(mapper):
        value = row[column]
        held[name] = dict(value) if type(value) is dict else value
    _forget_changes(instance)


def _forget_changes(instance: Any) -> None:
    state = instance_state(instance)
    state.committed_state.clear()
    state.modified = False
