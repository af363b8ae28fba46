"""A database as a version of the service leaves it that is newer than this one."""

from payment_service.storage.database import Database

OURS, THEIRS = "0001", "of_a_newer_version"


async def move_ahead(database: Database, *, back: bool = False) -> None:
    """Note that a revision was run which this version does not know; or take the note away."""
    old, new = (THEIRS, OURS) if back else (OURS, THEIRS)
    statement = f"UPDATE alembic_version SET version_num = '{new}' WHERE version_num = '{old}'"
    async with database.engine.begin() as connection:
        assert (await connection.exec_driver_sql(statement)).rowcount == 1
