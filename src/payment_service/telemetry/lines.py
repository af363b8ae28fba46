"""How log lines leave the process: ours and those of libraries by one way, in order, together."""

import asyncio
import atexit
import io
import logging
import threading
from contextlib import nullcontext, suppress
from typing import TextIO


class Gathered(io.TextIOBase):
    """A stream to which lines go together, once in a turn of the event loop.

    A write is a call of the system that wakes up whoever reads, and webhooks are answered in
    groups. Without a loop each line goes at once. What cannot be written is lost, and nobody fails.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._waiting: list[str] = []
        self._loop: asyncio.AbstractEventLoop | None = None  # that will write what waits
        atexit.register(self._let_go)

    def write(self, text: str) -> int:
        """Take a line."""
        with self._lock:
            self._waiting.append(text)
        return len(text)

    def flush(self) -> None:
        """Have it written: in this turn of the loop."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._let_go()
            return
        if loop is not self._loop:  # else it goes with those before it
            self._loop = loop
            loop.call_soon(self._let_go)

    def _let_go(self) -> None:
        with self._lock:  # threads log, too
            lines, self._waiting, self._loop = self._waiting, [], None
        with suppress(OSError, ValueError):
            self._stream.write("".join(lines))
            self._stream.flush()


class Lines:
    """Writes our own lines where the handler writes those of libraries.

    Straight to its stream: the standard library would make a record of each, look for the line of
    code that it comes from, and render it anew, which takes as long as all the rest.
    """

    def __init__(self, handler: logging.StreamHandler[Gathered], name: str) -> None:
        self._handler = handler
        self.name = name

    def write(self, line: str) -> None:
        """Write a line; what cannot be written is lost, and nobody fails for it."""
        with suppress(OSError, ValueError), self._handler.lock or nullcontext():
            self._handler.stream.write(line + "\n")
            self._handler.stream.flush()

    debug = info = warning = error = critical = write
