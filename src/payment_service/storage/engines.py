"""How to connect: one writing and one reading engine per database, with every limit spelled out."""

import ssl
from pathlib import Path
from typing import Any

import asyncmy
from sqlalchemy import URL, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, PoolResetState

from payment_service.domain.errors import InvalidSettings

CONNECT_TIMEOUT_SECONDS = 3
READ_TIMEOUT_SECONDS = 10
POOL_TIMEOUT_SECONDS = 2  # a second bound: who waits does so at a door
LOCK_TIMEOUT_SECONDS = 3
POOL_RECYCLE_SECONDS = 900
SQLITE_BUSY_TIMEOUT_MS = 5000
STATEMENT_CACHE_SIZE = 128
EXAMPLE_URL = "mysql+asyncmy://user:pass@host:3306/payments"
CR_SERVER_LOST = 2013  # MySQL's number for a connection that was lost


def create(url: str, *, pool_size: int) -> tuple[AsyncEngine, AsyncEngine]:
    """Make the writing and the reading engine for a database URL.

    Raises:
        InvalidSettings: It cannot be read; without the URL, which holds a password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise InvalidSettings(["PAYMENTS_DATABASE_URL must be like " + EXAMPLE_URL]) from error
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed)
    return _mysql(parsed, pool_size=pool_size)


def _mysql(url: URL, *, pool_size: int) -> tuple[AsyncEngine, AsyncEngine]:
    tls = _tls(url)
    url = url.difference_update_query(["ssl_ca", "ssl_mode"])
    connect: dict[str, Any] = {
        "async_creator_fn": _connect,
        "charset": "utf8mb4",
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "read_timeout": READ_TIMEOUT_SECONDS,
        "stmt_cache_size": STATEMENT_CACHE_SIZE,
        "init_command": (
            "SET SESSION time_zone = '+00:00',"
            f" innodb_lock_wait_timeout = {LOCK_TIMEOUT_SECONDS},"
            " sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO,"
            "NO_ZERO_DATE,NO_ZERO_IN_DATE'"
        ),
    }
    if tls is not None:
        connect["ssl"] = tls
    common: dict[str, Any] = {
        "hide_parameters": True,  # errors must not carry what people wrote
        "connect_args": connect,
        "pool_size": pool_size,
        "max_overflow": 0,
        "pool_timeout": POOL_TIMEOUT_SECONDS,
        "pool_recycle": POOL_RECYCLE_SECONDS,
        "pool_reset_on_return": None,  # see `_roll_back_what_is_open`
    }
    # Under REPEATABLE READ a plain read before a lock sees an old snapshot, and gap locks block
    # inserts: READ COMMITTED everywhere.
    writer = create_async_engine(url, isolation_level="READ COMMITTED", **common)
    reader = create_async_engine(
        url, isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True, **common
    )
    _roll_back_what_is_open(writer)
    # Many rows as one prepared statement: the driver would write all values into a text.
    writer.dialect.use_insertmanyvalues_wo_returning = True
    return writer, reader


def _roll_back_what_is_open(engine: AsyncEngine) -> None:
    """Let no transaction outlive its unit of work, without asking the server what it has just told.

    After a commit it says that nothing is open; the ROLLBACK that SQLAlchemy would send all the
    same is a round trip.
    """

    @event.listens_for(engine.sync_engine, "reset")
    def reset(connection: Any, _entry: ConnectionPoolEntry, state: PoolResetState) -> None:
        if not state.terminate_only and connection.driver_connection.get_transaction_status():
            connection.rollback()


async def _connect(**arguments: Any) -> Any:
    """Connect, and name the one fault that the driver names no MySQL error.

    It looks for the socket of a connection that was reset while it was made, and finds none (with
    uvloop): RuntimeError. Unnamed it would be a bug of ours, and an outage would use up the tries
    of webhooks.
    """
    try:
        return await asyncmy.connect(**arguments)
    except RuntimeError as error:
        raise asyncmy.errors.OperationalError(CR_SERVER_LOST, str(error)) from error


def _tls(url: URL) -> ssl.SSLContext | None:
    """Read `ssl_ca` and `ssl_mode` of a URL, in MySQL's words.

    A context, never the driver's `ssl=True`, which would not check the certificate. The default is
    `verify_identity`; `verify_ca` is for servers whose certificate does not carry their name, as
    the one that MySQL makes for itself.
    """
    ca_file, mode = url.query.get("ssl_ca"), url.query.get("ssl_mode", "verify_identity")
    if mode not in {"verify_identity", "verify_ca"}:
        fault = "PAYMENTS_DATABASE_URL: ssl_mode must be verify_identity or verify_ca"
        raise InvalidSettings([fault])
    if not ca_file:
        return None
    try:
        context = ssl.create_default_context(cafile=str(ca_file))
    except OSError as error:  # and so is a file that holds no certificate
        fault = "PAYMENTS_DATABASE_URL: the file of ssl_ca cannot be read as certificates"
        raise InvalidSettings([fault]) from error
    context.check_hostname = mode == "verify_identity"
    return context


def _sqlite(url: URL) -> tuple[AsyncEngine, AsyncEngine]:
    if url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    writer = create_async_engine(url, hide_parameters=True)
    reader = create_async_engine(url, hide_parameters=True)
    for engine, begin in ((writer, "BEGIN IMMEDIATE"), (reader, "BEGIN")):
        _begin_explicitly(engine, begin)
    return writer, reader


def _begin_explicitly(engine: AsyncEngine, begin: str) -> None:
    """Take transactions out of the driver's hands.

    Left alone it starts them late: updates get lost and savepoints survive a rollback. IMMEDIATE
    takes the write lock at once, so that a unit of work never fails half way on a stale snapshot.
    """

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # sqlite3's own switch
        cursor = connection.cursor()
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",  # money: a commit is on the disk
            "foreign_keys = ON",
            f"busy_timeout = {SQLITE_BUSY_TIMEOUT_MS}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def start(connection: Any) -> None:
        connection.exec_driver_sql(begin)
