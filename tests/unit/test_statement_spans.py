"""Statements are spans where a trace is kept, and are not looked at elsewhere."""

from collections.abc import AsyncIterator, Callable

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from payment_service.storage import statement_spans
from payment_service.telemetry import tracing
from tests.support.spans import trace_into_memory

KEPT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
NOT_KEPT = KEPT[:-2] + "00"
SECRET = "canary"

Connect = Callable[[], AsyncSession]


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Trace into memory, with the default sampling."""
    return trace_into_memory(monkeypatch, share=tracing.SAMPLED_SHARE)


@pytest.fixture
async def connect(spans: InMemorySpanExporter) -> AsyncIterator[Connect]:
    """Open a database that is traced."""
    engine = create_async_engine("sqlite+aiosqlite://")
    connect = statement_spans.sessions(engine)
    async with connect() as session:
        await session.execute(text("CREATE TABLE notes (id INTEGER PRIMARY KEY, words TEXT)"))
        await session.commit()
    yield connect
    await engine.dispose()


async def test_a_statement_of_a_kept_trace_is_a_span_of_its_block(
    spans: InMemorySpanExporter, connect: Connect
) -> None:
    with tracing.span("work", parent=KEPT):
        async with connect() as session:
            await session.execute(text("SELECT words FROM notes WHERE id = :id"), {"id": 1})

    statement, work = spans.get_finished_spans()
    assert (statement.name, statement.kind) == ("SELECT notes", SpanKind.CLIENT)
    assert statement.parent.span_id == work.context.span_id
    assert dict(statement.attributes) == {
        "db.system.name": "sqlite", "db.operation.name": "SELECT",
        "db.query.summary": "SELECT notes", "db.query.text": "SELECT words FROM notes WHERE id = ?",
    }  # fmt: skip


async def test_many_rows_are_one_span_that_counts_them(
    spans: InMemorySpanExporter, connect: Connect
) -> None:
    with tracing.span("work", parent=KEPT):
        rows = [{"words": SECRET}, {"words": SECRET}]
        async with connect() as session:
            await session.execute(text("INSERT INTO notes (words) VALUES (:words)"), rows)

    statement, _ = spans.get_finished_spans()
    assert statement.name == "INSERT notes"
    assert statement.attributes["db.operation.batch.size"] == 2
    assert SECRET not in statement.to_json()


async def test_a_statement_that_fails_says_how_and_not_with_what(
    spans: InMemorySpanExporter, connect: Connect
) -> None:
    insert = text("INSERT INTO notes (id, words) VALUES (1, :words)")
    with tracing.span("work", parent=KEPT):
        async with connect() as session:
            await session.execute(insert, {"words": SECRET})
            with pytest.raises(IntegrityError):
                await session.execute(insert, {"words": SECRET})

    _, failed, _ = spans.get_finished_spans()
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.attributes["error.type"] == "IntegrityError"
    assert SECRET not in failed.to_json()


@pytest.mark.parametrize("is_leaf", [True, False])
async def test_what_is_not_kept_or_shared_is_not_looked_at(
    spans: InMemorySpanExporter, connect: Connect, *, is_leaf: bool
) -> None:
    async with connect() as session:
        await session.execute(text("SELECT 1"))
    with tracing.span("work", parent=KEPT if is_leaf else NOT_KEPT, is_leaf=is_leaf):
        async with connect() as session:
            await session.execute(text("SELECT 1"))

    assert [span.name for span in spans.get_finished_spans()] == ["work"] * is_leaf


async def test_a_connection_is_not_looked_at_any_longer_than_its_work(
    spans: InMemorySpanExporter, connect: Connect
) -> None:
    with tracing.span("work", parent=KEPT):
        async with connect() as session:
            await session.connection()
    async with connect() as session:
        await session.execute(text("SELECT 1"))

    assert [span.name for span in spans.get_finished_spans()] == ["work"]


@pytest.mark.parametrize(
    ("statement", "summary"),
    [
        ("SELECT a FROM `payments` JOIN b ON c FOR UPDATE", "SELECT payments"),
        ("insert into refunds (id) values (1)", "INSERT refunds"),
        ("UPDATE leases SET owner = 1", "UPDATE leases"),
        ("DELETE FROM outbox_events WHERE id IN (1)", "DELETE outbox_events"),
        ("SELECT 1", "SELECT"),
        ("", ""),
    ],
)
def test_a_summary_names_what_is_done_and_the_first_table(statement: str, summary: str) -> None:
    assert statement_spans.summary_of(statement) == summary


def test_nothing_is_listened_to_without_a_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    engine = create_async_engine("sqlite+aiosqlite://")

    assert isinstance(statement_spans.sessions(engine), async_sessionmaker)


@pytest.mark.usefixtures("spans")
def test_the_engine_of_what_is_not_kept_is_not_listened_to() -> None:
    engine = create_async_engine("sqlite+aiosqlite://")

    statement_spans.sessions(engine)

    # Of its own: what a test listens to on all engines stays noted on their class.
    assert "_has_events" not in vars(engine.sync_engine)
