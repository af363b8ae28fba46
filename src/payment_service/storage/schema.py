"""What all tables share: their options, how their keys are named, and the type of their ids."""

from typing import Any

from sqlalchemy import MetaData, inspect
from sqlalchemy.orm import DeclarativeBase

from payment_service.storage.types import ascii_key

TABLE_OPTIONS = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
    "sqlite_autoincrement": True,  # never give a deleted row's number to another
}

Id = ascii_key(32)


class Base(DeclarativeBase):
    """What all tables share."""

    # No name for primary keys: MySQL ignores it with a warning that costs a round trip.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        }
    )

    def as_row(self) -> dict[str, Any]:
        """Give what was set, by column, as a statement takes it that is not the session's."""
        columns = inspect(type(self)).column_attrs
        values = self.__dict__
        return {each.columns[0].key: values[each.key] for each in columns if each.key in values}
