"""The owner's side of a supervised server process."""

import select
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from deploy.stack.errors import StartFailed

SUPERVISOR = Path(__file__).with_name("supervisor.py")
PID_TIMEOUT_SECONDS = 20.0

Letter = Literal["t", "k", "s", "c"]
"""Terminate, kill, stop (freeze), continue: see `supervisor.SIGNALS`."""


class SupervisedProcess:
    """A server that dies with us; its output goes to a log file.

    A child that this process makes by a bare `os.fork` shares our end of the pipe: then the
    server lives until that child ends too.
    """

    def __init__(self, command: Sequence[str], *, directory: Path, log_path: Path) -> None:
        """Start `command` in `directory`, which is removed if we die.

        Raises:
            StartFailed: the program cannot be run; the log says why.
        """
        with log_path.open("ab") as log:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-I", "-S", str(SUPERVISOR), directory, log_path, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                start_new_session=True,  # Ctrl-C at the terminal is for the owner to act on
            )
        try:
            self.pid = self._read_pid()
        except BaseException:
            self._release()
            raise

    def _read_pid(self) -> int:
        output = self._supervisor.stdout
        assert output is not None
        readable, _, _ = select.select([output], [], [], PID_TIMEOUT_SECONDS)
        line = output.readline() if readable else b""
        if not line.strip().isdigit():
            raise StartFailed("its program could not be run")
        return int(line)

    @property
    def exit_code(self) -> int | None:
        """The code it ended with (128 + the signal), or None while it runs."""
        return self._supervisor.poll()

    def send(self, letter: Letter) -> None:
        """Send a signal; a server that has ended already is left alone."""
        assert self._supervisor.stdin is not None
        with suppress(BrokenPipeError, ValueError):
            self._supervisor.stdin.write(letter.encode())

    def wait(self, timeout_seconds: float) -> bool:
        """Wait for the end of the server; False if it did not come in time."""
        try:
            self._supervisor.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            return False
        self._release()
        return True

    def _release(self) -> None:
        """Close both pipes; the supervisor, if it lives, takes that for our death."""
        for pipe in (self._supervisor.stdin, self._supervisor.stdout):
            assert pipe is not None
            pipe.close()
        with suppress(subprocess.TimeoutExpired):
            self._supervisor.wait(PID_TIMEOUT_SECONDS)
