"""A TCP proxy that does to connections what networks do: cut, refuse, swallow, delay, lose answers.

Source of the kinds: https://github.com/Shopify/toxiproxy.
"""

import asyncio
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CHUNK_BYTES = 65_536
CLOSE_SECONDS = 5.0
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with RST


class Link:
    """The way to one server. Everything passes until something is done to it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = 0
        self._target = 0
        self._is_refusing = False
        self._delay_seconds = 0.0
        self._replies_until_loss = 0  # 0 loses none
        self._flows = asyncio.Event()
        self._flows.set()
        self._connections: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen on a free port; `lead_to` says where it leads."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def lead_to(self, port: int) -> None:
        """Say which port of this machine the link leads to."""
        self._target = port

    async def close(self) -> None:
        """Stop listening and cut everything."""
        if self._server is not None:
            self._server.close()
        self.cut()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)

    def cut(self) -> None:
        """Reset every connection."""
        for writer in self._connections:
            _reset(writer)

    def lose_reply(self, nth: int) -> None:
        """Let the nth answer from now be lost, and its connection with it: the work was done."""
        self._replies_until_loss = nth

    def heal(self) -> None:
        """Lose no answer any more, and start afresh."""
        self._replies_until_loss = 0
        self.cut()

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Reset all connections, those that are there and those that are tried."""
        self._is_refusing = True
        self.cut()
        try:
            yield
        finally:
            self._is_refusing = False

    @contextmanager
    def swallowing(self) -> Iterator[None]:
        """Take what is sent and pass nothing on, in both directions: a black hole."""
        self._flows.clear()
        try:
            yield
        finally:
            self._flows.set()

    @contextmanager
    def delaying(self, seconds: float) -> Iterator[None]:
        """Pass everything on later."""
        self._delay_seconds = seconds
        try:
            yield
        finally:
            self._delay_seconds = 0.0

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._is_refusing:
            _reset(writer)
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            _reset(writer)
            return
        ends = {writer, far_writer}
        self._connections |= ends
        try:
            await asyncio.gather(
                self._pump(reader, far_writer, ends, carries_replies=False),
                self._pump(far_reader, writer, ends, carries_replies=True),
            )
        except (OSError, RuntimeError):  # uvloop's, for a connection that was reset meanwhile
            for end in ends:
                _reset(end)
        finally:
            self._connections -= ends
            for end in ends:
                end.close()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        ends: set[asyncio.StreamWriter],
        *,
        carries_replies: bool,
    ) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            await self._flows.wait()
            if self._delay_seconds:
                await asyncio.sleep(self._delay_seconds)
            if carries_replies and self._is_lost():
                for end in ends:
                    _reset(end)
                return
            writer.write(chunk)
            await writer.drain()
        with suppress(OSError, RuntimeError):
            writer.write_eof()

    def _is_lost(self) -> bool:
        if not self._replies_until_loss:
            return False
        self._replies_until_loss -= 1
        return self._replies_until_loss == 0


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close at once, as a machine does that knows nothing of the connection."""
    handle = writer.get_extra_info("socket")
    with suppress(OSError, AttributeError, ValueError):  # it may be closed already
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
