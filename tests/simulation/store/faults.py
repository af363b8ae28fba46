"""The errors of a database, in MySQL's words, as SQLAlchemy hands them on."""

from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError


class CheckFailed(Exception):
    """A CHECK refused a row: the last line of defence, and a bug if it is ever needed."""


class ServerError(Exception):
    """An error of the server or the driver: its number and its text."""


def duplicate(table: str, name: str, columns: tuple[str, ...]) -> IntegrityError:
    """Say that a unique key is taken; in SQLite's words, too."""
    spelled = ", ".join(f"{table}.{column}" for column in columns)
    text = f"Duplicate entry for key '{table}.{name}' (UNIQUE constraint failed: {spelled})"
    return IntegrityError("INSERT or UPDATE", None, ServerError(1062, text))


def parent_missing(table: str, parent: str) -> IntegrityError:
    """Say that a row names a row that is not there."""
    text = f"a foreign key of {table} fails: no such row in {parent}"
    return IntegrityError("INSERT", None, ServerError(1452, text))


def check_failed(table: str, name: str) -> DBAPIError:
    """Say that a rule of the table does not hold."""
    error = ServerError(3819, f"Check constraint '{name}' of {table} is violated.")
    error.__cause__ = CheckFailed(name)
    return OperationalError("INSERT or UPDATE", None, error)


def bad_value(table: str, column: str, why: str) -> DBAPIError:
    """Say that a column cannot hold a value (strict mode)."""
    return IntegrityError("INSERT or UPDATE", None, ServerError(1048, f"{table}.{column}: {why}"))


def deadlock() -> OperationalError:
    """Say that the transaction was undone, because two waited for each other."""
    return OperationalError("LOCK", None, ServerError(1213, "Deadlock found when trying to lock"))


def lock_wait_timeout() -> OperationalError:
    """Say that a row did not become free in time."""
    return OperationalError("LOCK", None, ServerError(1205, "Lock wait timeout exceeded"))


def connection_lost() -> OperationalError:
    """Say that the server is gone; what was under way may have happened or not."""
    lost = ServerError(2013, "Lost connection to MySQL server")
    return OperationalError("QUERY", None, lost, connection_invalidated=True)
