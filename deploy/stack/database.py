"""What MySQL and MariaDB have in common: users, databases, addresses, readiness."""

import re
import shutil
from abc import abstractmethod
from pathlib import Path

from deploy.stack.errors import QueryFailed
from deploy.stack.mysql_protocol import Row, query, read_greeting_version
from deploy.stack.server import NotReady, Server

DATABASE = "payments"
USER = "payments"
PASSWORD = "payments"  # noqa: S105 - of a private server that listens on loopback only
DATABASE_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
CONNECTIONS_MAX = 400
SOCKET = "socket"
"""Relative to the data directory, where the server works: a long path would be refused."""
SQL_MODE = (
    "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,"
    "ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
)
"""MySQL 8's own default. MariaDB's is laxer, so it is given the same."""


class DatabaseServer(Server):
    """A MySQL or MariaDB server with the database `payments` and a user who owns it.

    The administrator is root without a password, on the Unix socket only.
    """

    start_timeout_seconds = 90.0
    stop_timeout_seconds = 30.0
    _account_options = ""
    """What stands before `BY` in `IDENTIFIED ... BY`."""
    _hardening: tuple[str, ...] = ()
    """Statements run at every start, before the user is made."""

    @property
    def ca_path(self) -> Path | None:
        """The certificate authority of the server's TLS certificate, or None without TLS."""
        return None

    def url(self, user: str = USER, password: str = PASSWORD, database: str = DATABASE) -> str:
        """Return the address as `PAYMENTS_DATABASE_URL` takes it."""
        return f"mysql+asyncmy://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def query(self, statement: str) -> list[Row]:
        """Run one statement as the administrator and return its rows, each value as text.

        Raises:
            QueryFailed: the server refused it.
            OSError: the server does not answer.
        """
        return query(self._socket_path, statement)

    def create_database(self, name: str) -> str:
        """Make an empty database for the user `payments` and return its URL.

        A database of that name is dropped first.

        Args:
            name: lower case letters, digits and underscores, a letter first, at most 64.
        """
        self.drop_database(name)
        self.query(f"CREATE DATABASE {name}")
        self.query(f"GRANT ALL ON {name}.* TO '{USER}'@'127.0.0.1'")
        return self.url(database=name)

    def drop_database(self, name: str) -> None:
        """Remove a database if it exists."""
        assert DATABASE_NAME.fullmatch(name), f"not a name for a database: {name!r}"
        self.query(f"DROP DATABASE IF EXISTS {name}")

    @abstractmethod
    def _template(self) -> Path:
        """Return the directory of freshly initialised data, made at the first call."""

    def _lay_out(self, directory: Path) -> None:
        shutil.copytree(self._template(), directory / "data")
        account = f"'{USER}'@'127.0.0.1'"
        statements = [  # run at every start, one a line
            *self._hardening,
            f"CREATE DATABASE IF NOT EXISTS {DATABASE};",
            f"CREATE USER IF NOT EXISTS {account}"
            f" IDENTIFIED {self._account_options} BY '{PASSWORD}';",
            f"GRANT ALL ON {DATABASE}.* TO {account};",
        ]
        self._init_path(directory).write_text("\n".join(statements) + "\n", encoding="utf-8")

    def _probe(self) -> str:
        try:
            read_greeting_version(self.port)
            return str(self.query("SELECT VERSION()")[0][0])
        except QueryFailed as error:  # for instance 1040: all its connections are taken
            raise NotReady(str(error)) from error

    @property
    def _socket_path(self) -> Path:
        return self.directory / "data" / SOCKET

    def _init_path(self, directory: Path) -> Path:
        return directory / "init.sql"

    def _common_options(self) -> list[str]:
        # After a crash the lock names a process number, which somebody else may have by now.
        for leftover in (self._socket_path, self._socket_path.with_suffix(".lock")):
            leftover.unlink(missing_ok=True)
        return [
            f"--datadir={self.directory / 'data'}",
            f"--socket={SOCKET}",
            f"--pid-file={self.directory / 'pid'}",
            f"--tmpdir={self.directory}",
            f"--init-file={self._init_path(self.directory)}",
            "--bind-address=127.0.0.1",
            f"--port={self.port}",
            "--skip-name-resolve",
            f"--max-connections={CONNECTIONS_MAX}",
            "--character-set-server=utf8mb4",
            "--default-time-zone=+00:00",
            f"--sql-mode={SQL_MODE}",
            "--innodb-flush-log-at-trx-commit=1",  # a commit that was answered survives a crash
            "--innodb-buffer-pool-size=128M",
        ]
