"""Migrations make the schema of the models, both ways."""

import pytest
from sqlalchemy import inspect

from payment_service.domain.errors import SchemaAhead
from payment_service.storage import migrate
from payment_service.storage.database import Database
from payment_service.storage.models import Base
from tests.support.revisions import move_ahead


async def tables(database: Database) -> set[str]:
    async with database.engine.connect() as connection:
        return set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))


async def test_migrations_give_what_the_models_say(database_url: str) -> None:
    async with Database.open(database_url) as database:
        assert len(await migrate.pending_revisions(database)) >= 1

        await migrate.upgrade(database)

        await migrate.check(database)
        assert await migrate.pending_revisions(database) == []
        assert set(Base.metadata.tables) <= await tables(database)


async def test_migrations_can_be_undone_and_done_again(database_url: str) -> None:
    async with Database.open(database_url) as database:
        await migrate.upgrade(database)

        await migrate.downgrade(database, "base")
        assert await tables(database) == {"alembic_version"}

        await migrate.upgrade(database)
        await migrate.check(database)


async def test_what_a_newer_version_has_migrated_lacks_nothing_and_stays_as_it_is(
    database_url: str,
) -> None:
    """Old processes stay ready while an upgrade is under way, and after it was rolled back."""
    async with Database.open(database_url) as database:
        await migrate.upgrade(database)
        before = await tables(database)
        await move_ahead(database)

        await migrate.upgrade(database)

        assert await migrate.pending_revisions(database) == []
        assert await migrate.is_ahead(database)
        with pytest.raises(SchemaAhead, match="with that version's"):
            await migrate.downgrade(database, "base")
        assert await tables(database) == before


@pytest.mark.parametrize("names", [("outbox_events", "id topic payload status created_at "
                                    "published_at"),
                                   ("webhook_events", "id provider event_id payload status "
                                    "received_at processed_at")])  # fmt: skip
def test_tables_have_the_agreed_columns(names: tuple[str, str]) -> None:
    table, columns = names
    assert set(columns.split()) <= set(Base.metadata.tables[table].columns.keys())
