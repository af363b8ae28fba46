"""What a database error means: try again, or a duplicate."""

from sqlalchemy.exc import DBAPIError, IntegrityError

MYSQL_TRANSIENT = frozenset({1213, 1205, 1020})  # deadlock, lock wait, snapshot conflict (MariaDB)
MYSQL_DUPLICATE = 1062


def error_number(error: DBAPIError) -> int | None:
    """Return the server's error number (MySQL), or None."""
    arguments = getattr(error.orig, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else None


def is_transient(error: DBAPIError) -> bool:
    """Tell whether the whole transaction was undone and may simply be repeated."""
    if error_number(error) in MYSQL_TRANSIENT:
        return True
    return "database is locked" in str(error.orig)


def is_duplicate(error: IntegrityError, *names: str) -> bool:
    """Tell whether a unique key was hit, one of `names` if any are given.

    MySQL names the key; SQLite names the columns: give the words that either would say.
    """
    said = str(error.orig)
    duplicate = error_number(error) == MYSQL_DUPLICATE or "UNIQUE constraint failed" in said
    return duplicate and (not names or any(name in said for name in names))
