"""What every server of the stack can do: start, stop, die, come back on the same port.

A subclass says how to get the programs, how to lay out the data, which command to run and how to
see by the server's own protocol that it is ready.
"""

import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from deploy.stack.command import Progress, last_lines, silent
from deploy.stack.errors import StartFailed
from deploy.stack.ports import free_port
from deploy.stack.process import SupervisedProcess
from deploy.stack.workspace import Workspace

PROBE_PAUSE_SECONDS = 0.02
KILL_TIMEOUT_SECONDS = 20.0
PORT_ATTEMPTS = 3
LOG_LINES_MAX = 30
LOG_TAIL_BYTES = 16_384


class NotReady(Exception):
    """The server does not answer as it should yet; try again."""


class Server(ABC):
    """One private server in a temporary directory, on a loopback port that never changes.

    Not safe to share between threads. As a context manager it is started on entry and closed on
    exit.
    """

    kind: ClassVar[str]
    """A short name for directories and messages."""
    start_timeout_seconds: ClassVar[float]
    stop_timeout_seconds: ClassVar[float]

    def __init__(self, *, progress: Progress = silent) -> None:
        self._progress = progress
        self._workspace: Workspace | None = None
        self._process: SupervisedProcess | None = None
        self._port = 0
        self._version = ""

    @property
    def port(self) -> int:
        """The TCP port on 127.0.0.1; known from the first `start` on."""
        assert self._port, "not started yet"
        return self._port

    @property
    def version(self) -> str:
        """The version, as the server tells it where it does."""
        assert self._version, "not started yet"
        return self._version

    @property
    def is_running(self) -> bool:
        """Whether its process lives (it may be paused)."""
        return self._process is not None and self._process.exit_code is None

    @property
    def directory(self) -> Path:
        """Its temporary directory; `log` in it is what the server printed."""
        assert self._workspace is not None, "not started yet, or closed"
        return self._workspace.path

    @property
    def memory_bytes(self) -> int:
        """The resident memory of the running server, in bytes."""
        kilobytes, _unit = self._status("VmRSS").split()
        return int(kilobytes) * 1024

    def start(self) -> None:
        """Start it and return when it answers; after `stop` or `kill`, with the data it had.

        Raises:
            Unavailable: it cannot be had on this machine.
            ChecksumMismatch: a download is not what was pinned.
            StartFailed: it ended or was not ready in time; the end of its log is in the message.
        """
        assert not self.is_running, "already running"
        is_first = self._workspace is None
        if self._workspace is None:
            self._provide()
            self._workspace = Workspace(self.kind)
            self._port = free_port()
            self._lay_out(self._workspace.path)
        for attempt in range(1, PORT_ATTEMPTS + 1):
            try:
                self._launch()
            except StartFailed as error:
                # Clients know the port of a restarted server: only a new one may choose again.
                is_taken = "already in use" in str(error)
                if not (is_first and is_taken and attempt < PORT_ATTEMPTS):
                    raise
                self._port = free_port()
            else:
                return

    def stop(self) -> None:
        """Shut it down in order and keep its data; kill it if that takes too long."""
        if self._process is not None:
            self._process.send("c")  # A paused process cannot act on a request to end.
            self._process.send("t")
            if not self._process.wait(self.stop_timeout_seconds):
                self.kill()
            self._process = None

    def kill(self) -> None:
        """End it at once (SIGKILL), as a crash would; its data stays as it is on disk."""
        if self._process is not None:
            self._process.send("k")
            if not self._process.wait(KILL_TIMEOUT_SECONDS):
                raise StartFailed(f"{self.kind} survived SIGKILL for {KILL_TIMEOUT_SECONDS:g} s")
            self._process = None

    def restart(self) -> None:
        """Stop it if it runs, and start it on the same port with the same data."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze it (SIGSTOP) and return when it is: connections stay open, nobody answers."""
        assert self._process is not None, "not running"
        self._process.send("s")
        deadline = time.monotonic() + KILL_TIMEOUT_SECONDS
        while not self._status("State").startswith("T"):
            if time.monotonic() > deadline:
                raise StartFailed(f"{self.kind} did not pause in {KILL_TIMEOUT_SECONDS:g} s")
            time.sleep(PROBE_PAUSE_SECONDS)

    def resume(self) -> None:
        """Let a paused server go on."""
        assert self._process is not None, "not running"
        self._process.send("c")

    def close(self) -> None:
        """Kill it and remove everything it wrote. Harmless if it never started."""
        self.kill()
        if self._workspace is not None:
            self._workspace.remove()
            self._workspace = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()

    @abstractmethod
    def _provide(self) -> None:
        """Get programs and a template of the data; may download. Raises Unavailable."""

    @abstractmethod
    def _lay_out(self, directory: Path) -> None:
        """Put the first data into the temporary directory."""

    @abstractmethod
    def _command(self) -> list[str]:
        """Write the files that the server reads at a start, and return the command to run it.

        It runs in the foreground and listens on `self.port`.
        """

    @abstractmethod
    def _probe(self) -> str:
        """Return the version if the server answers. Raises OSError or NotReady if not yet."""

    def _status(self, field: str) -> str:
        assert self._process is not None, "not running"
        lines = Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8").splitlines()
        return (
            next(line for line in lines if line.startswith(f"{field}:")).partition(":")[2].strip()
        )

    def _launch(self) -> None:
        started = time.monotonic()
        deadline = started + self.start_timeout_seconds
        log_path = self.directory / "log"
        try:
            self._process = SupervisedProcess(
                self._command(), directory=self.directory, log_path=log_path
            )
            self._version = self._wait_until_ready(self._process, deadline)
        except StartFailed as error:
            self.kill()
            raise StartFailed(f"{self.kind}: {error}. Its log ends:\n{_tail(log_path)}") from error
        seconds = time.monotonic() - started
        self._progress(f"{self.kind} {self._version} is up on port {self._port} ({seconds:.1f} s)")

    def _wait_until_ready(self, process: SupervisedProcess, deadline: float) -> str:
        while process.exit_code is None:
            try:
                return self._probe()
            except (OSError, NotReady) as error:
                if time.monotonic() > deadline:
                    raise StartFailed(
                        f"not ready after {self.start_timeout_seconds:g} s ({error})"
                    ) from error
            time.sleep(PROBE_PAUSE_SECONDS)
        raise StartFailed(f"ended with exit code {process.exit_code}")


def _tail(log_path: Path) -> str:
    try:
        with log_path.open("rb") as log:
            log.seek(max(0, log_path.stat().st_size - LOG_TAIL_BYTES))
            return last_lines(log.read().decode(errors="replace"), LOG_LINES_MAX)
    except OSError:
        return "(there is no log)"
