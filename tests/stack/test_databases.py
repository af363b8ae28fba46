"""The private MySQL and MariaDB, through the service's own driver."""

import socket
import ssl
import threading
import time

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from deploy.stack.database import DatabaseServer
from deploy.stack.errors import QueryFailed, StartFailed
from deploy.stack.mariadb import MariaDBServer
from deploy.stack.mysql import MySQLServer

pytestmark = pytest.mark.stack


@pytest.fixture(params=["mysql_server", "mariadb_server"])
def database_server(request):
    server = request.getfixturevalue(request.param)
    yield server
    if not server.is_running:
        server.start()


async def run(url: str, *statements: str, **connect_args: object) -> list[tuple]:
    """Run statements in one transaction and return the rows of the last one."""
    engine = create_async_engine(url, poolclass=NullPool, connect_args=connect_args)
    try:
        async with engine.begin() as connection:
            for statement in statements:
                result = await connection.execute(text(statement))
            return [tuple(row) for row in result] if result.returns_rows else []
    finally:
        await engine.dispose()


async def test_the_application_user_reads_what_it_wrote(database_server: DatabaseServer):
    url = database_server.create_database("written")

    rows = await run(
        url,
        "CREATE TABLE notes (body VARCHAR(20))",
        "INSERT INTO notes VALUES ('năm 🪙')",
        "SELECT body, VERSION() FROM notes",
    )

    assert rows == [("năm 🪙", database_server.version)]


async def test_the_default_database_is_there_and_no_other_is_open(database_server: DatabaseServer):
    assert await run(database_server.url(), "SELECT DATABASE()") == [("payments",)]
    with pytest.raises(OperationalError, match="Access denied"):
        await run(database_server.url(database="mysql"), "SELECT 1")


async def test_the_administrator_is_not_reachable_over_the_network(database_server: DatabaseServer):
    with pytest.raises(OperationalError, match=r"Access denied|not allowed to connect"):
        await run(database_server.url(user="root", password="", database="mysql"), "SELECT 1")


def test_the_settings_are_those_of_production(database_server: DatabaseServer):
    (settings,) = database_server.query(
        "SELECT @@time_zone, @@character_set_server, @@innodb_flush_log_at_trx_commit,"
        " @@sql_mode LIKE '%STRICT_TRANS_TABLES%', @@bind_address"
    )

    assert settings == ("+00:00", "utf8mb4", "1", "1", "127.0.0.1")


async def test_committed_rows_survive_a_kill_on_the_same_port(database_server: DatabaseServer):
    url = database_server.create_database("killed")
    port = database_server.port
    await run(url, "CREATE TABLE t (n INT)")
    await run(url, "INSERT INTO t VALUES (1), (2)")

    database_server.kill()
    assert not database_server.is_running
    with pytest.raises(OperationalError):
        await run(url, "SELECT 1")
    database_server.start()

    assert database_server.port == port
    assert await run(url, "SELECT n FROM t ORDER BY n") == [(1,), (2,)]


async def test_a_restart_keeps_data_and_port(database_server: DatabaseServer):
    url = database_server.create_database("restarted")
    await run(url, "CREATE TABLE t (n INT)")

    database_server.restart()

    assert await run(url, "SELECT COUNT(*) FROM t") == [(0,)]


async def test_creating_a_database_again_empties_it(database_server: DatabaseServer):
    url = database_server.create_database("again")
    await run(url, "CREATE TABLE t (n INT)")

    database_server.create_database("again")

    assert await run(url, "SHOW TABLES") == []


def test_a_name_that_could_be_more_than_a_name_is_refused(database_server: DatabaseServer):
    with pytest.raises(AssertionError, match="not a name"):
        database_server.create_database("x; DROP DATABASE payments")


def test_a_paused_server_accepts_connections_but_says_nothing(database_server: DatabaseServer):
    database_server.pause()
    try:
        with socket.create_connection(("127.0.0.1", database_server.port), 5) as connection:
            connection.settimeout(0.3)
            with pytest.raises(TimeoutError):
                connection.recv(1)
    finally:
        database_server.resume()

    assert database_server.query("SELECT 1") == [("1",)]


def test_query_returns_null_long_text_and_no_rows(database_server: DatabaseServer):
    long = 70_000

    assert database_server.query(f"SELECT NULL, REPEAT('x', {long}), ''") == [
        (None, "x" * long, "")
    ]
    assert database_server.query("SELECT 1 FROM DUAL WHERE 1 = 0") == []


def test_query_tells_the_code_of_the_error(database_server: DatabaseServer):
    with pytest.raises(QueryFailed, match="error 1064") as failure:
        database_server.query("SELEC 1")

    assert failure.value.code == 1064


async def test_mysql_speaks_tls_with_a_certificate_of_its_authority(mysql_server: MySQLServer):
    context = ssl.create_default_context(cafile=mysql_server.ca_path)
    context.check_hostname = False

    (row,) = await run(mysql_server.url(), "SHOW SESSION STATUS LIKE 'Ssl_version'", ssl=context)

    assert row[1].startswith("TLSv1.")


async def test_mysql_refuses_to_be_taken_for_another_authority(mysql_server: MySQLServer):
    context = ssl.create_default_context()
    context.check_hostname = False

    with pytest.raises(OperationalError, match="certificate verify failed"):
        await run(mysql_server.url(), "SELECT 1", ssl=context)


class MisconfiguredServer(MariaDBServer):
    def _command(self) -> list[str]:
        return [*super()._command(), "--no-such-option"]


class MissingProgram(MariaDBServer):
    def _command(self) -> list[str]:
        return [str(self.directory / "no-such-program")]


@pytest.mark.usefixtures("mariadb_server")
@pytest.mark.parametrize(
    ("server", "reason"),
    [(MisconfiguredServer(), "unknown option"), (MissingProgram(), "No such file")],
)
def test_a_start_that_fails_tells_the_end_of_the_log(server: MariaDBServer, reason: str):
    with pytest.raises(StartFailed, match=reason):
        server.start()

    directory = server.directory
    server.close()
    assert not directory.exists()


@pytest.mark.usefixtures("mariadb_server")
def test_a_server_outlives_the_thread_that_started_it_but_not_its_supervisor():
    server = MariaDBServer()
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join(60)
    process = server._process
    try:
        assert server.query("SELECT 1") == [("1",)]

        process._supervisor.kill()

        assert process.wait(10)
        assert wait_until_gone(server, seconds=10)
    finally:
        server.close()


def wait_until_gone(server: DatabaseServer, *, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", server.port), 1).close()
        except ConnectionRefusedError:
            return True
        time.sleep(0.02)
    return False
