"""A private MariaDB from the operating system's package, where MySQL cannot be had."""

import os
from pathlib import Path

from deploy.stack.cache import build_once
from deploy.stack.command import run
from deploy.stack.database import DatabaseServer
from deploy.stack.packages import ensure_program

SERVER_PACKAGE, CLIENT_PACKAGE = "mariadb-server-core", "mariadb-client-core"
"""The programs alone: these packages start no service."""

INITIALIZE_TIMEOUT_SECONDS = 120.0
VERSION_TIMEOUT_SECONDS = 10.0


class MariaDBServer(DatabaseServer):
    """MariaDB with strict mode, UTC and every commit flushed to disk; without TLS."""

    kind = "mariadb"
    _hardening = (  # the installer also lets root in over TCP, without a password
        "DELETE FROM mysql.global_priv WHERE User = 'root' AND Host <> 'localhost';",
        "FLUSH PRIVILEGES;",
    )

    def _provide(self) -> None:
        self._program = ensure_program("mariadbd", SERVER_PACKAGE, progress=self._progress)
        # The installer of the data, which comes with the server, calls this program.
        ensure_program("my_print_defaults", CLIENT_PACKAGE, progress=self._progress)
        self._installer = ensure_program(
            "mariadb-install-db", SERVER_PACKAGE, progress=self._progress
        )
        self._template()

    def _template(self) -> Path:
        # "mariadbd  Ver 10.11.19-MariaDB-... for ...": another version gets another template.
        told = run([self._program, "--version"], timeout_seconds=VERSION_TIMEOUT_SECONDS)
        version = told.partition("Ver ")[2].split("-")[0]
        return build_once(f"mariadb-data-{version}", self._initialize)

    def _initialize(self, directory: Path) -> None:
        run(
            [
                self._installer,
                "--no-defaults",
                *self._user(),
                f"--datadir={directory}",
                "--auth-root-authentication-method=normal",  # root without a password
                "--skip-test-db",
                "--innodb-log-file-size=16M",  # keeps small what each start copies
            ],
            timeout_seconds=INITIALIZE_TIMEOUT_SECONDS,
        )

    def _user(self) -> list[str]:
        return ["--user=root"] if os.geteuid() == 0 else []

    def _command(self) -> list[str]:
        return [
            self._program,
            "--no-defaults",
            *self._user(),
            *self._common_options(),
            "--innodb-log-file-size=128M",
        ]
