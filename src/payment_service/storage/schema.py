"""What all tables share: their options, how their keys are named, and the type of their ids."""

from sqlalchemy import MetaData
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
