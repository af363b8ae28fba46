"""A TCP balancer, as a Service is one: new connections go to whoever is in, old ones stay."""

import asyncio
from contextlib import suppress

CHUNK_BYTES = 65_536


class Balancer:
    """Takes connections on one port and hands each to one of the processes behind it."""

    def __init__(self) -> None:
        self.port = 0
        self._behind: list[int] = []
        self._turn = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening, and cut what is left."""
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.close()

    def add(self, port: int) -> None:
        """Let a process take connections."""
        self._behind.append(port)

    def remove(self, port: int) -> None:
        """Give a process no more connections; those that it has go on."""
        self._behind.remove(port)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._turn += 1
        port = self._behind[self._turn % len(self._behind)]
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", port)
        both = {writer, behind_writer}
        self._writers |= both
        with suppress(ConnectionError):
            await asyncio.gather(_pipe(reader, behind_writer), _pipe(behind_reader, writer))
        self._writers -= both
        for each in both:
            each.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()
    with suppress(OSError):
        writer.write_eof()
