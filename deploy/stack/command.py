"""Run a tool to its end: output captured, time bounded, nothing of it left behind."""

import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress

from deploy.stack.errors import CommandFailed

Progress = Callable[[str], None]
"""Receives one line of text before and after each step that a person may have to wait for."""

OUTPUT_LINES_MAX = 15


def silent(_line: str) -> None:
    """Report no progress."""


def run(command: Sequence[str], *, timeout_seconds: float) -> str:
    """Run `command` without a shell and return what it printed.

    Raises:
        CommandFailed: it is missing, exits with an error, or is still running after
            `timeout_seconds`; in the last case it and its children are killed.
    """
    name = os.path.basename(command[0])  # noqa: PTH119 - a name, not a file to open
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # its own group, so that its children can be killed with it
        )
    except OSError as error:
        raise CommandFailed(f"{name} cannot be run: {error}") from error
    with process:
        try:
            output, _ = process.communicate(timeout=timeout_seconds)
        except BaseException as error:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise CommandFailed(f"{name} did not end within {timeout_seconds:g} s") from error
            raise
    if process.returncode != 0:
        raise CommandFailed(f"{name} exited with {process.returncode}:\n{last_lines(output)}")
    return output


def last_lines(text: str, count: int = OUTPUT_LINES_MAX) -> str:
    """Return the last `count` lines of `text` that are not blank."""
    return "\n".join([line for line in text.splitlines() if line.strip()][-count:])
