"""A transport that sends what is written in one turn of the event loop at the turn's end.

uvicorn writes the head of an answer and then its body, and uvloop sends each of them at once. Each
time the system is called, a packet leaves, and the client is woken up, often on a processor that
had gone to sleep. At the end of the turn head and body are one packet, the answers of a crowd leave
one after the other, and what comes first wakes up whoever reads the rest (docs/performance.md).

Source: uvicorn 0.54 `RequestResponseCycle.send`, uvloop 0.23 `UVStream.write`, both as traced.
"""

import asyncio
from typing import Any

HELD_BYTES_MAX = 64 * 1024  # more goes at once: nothing is gained by waiting


class GatheredTransport(asyncio.Transport):
    """A connection's transport, as a server of HTTP uses one; what else there is raises.

    Args:
        transport: Of the connection.
        loop: That it belongs to.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._held: list[bytes | bytearray | memoryview] = []
        self._held_bytes = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take what is to be sent in this turn."""
        if not self._held:
            self._loop.call_soon(self._let_go)
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > HELD_BYTES_MAX:
            self._let_go()

    def write_eof(self) -> None:
        """Send what is held, and that nothing follows."""
        self._let_go()
        self._transport.write_eof()

    def close(self) -> None:
        """Send what is held, and close."""
        self._let_go()
        self._transport.close()

    def _let_go(self) -> None:
        held, self._held, self._held_bytes = self._held, [], 0
        if held and not self._transport.is_closing():  # else nobody is there any more
            self._transport.write(held[0] if len(held) == 1 else b"".join(held))

    # The connection's own

    def abort(self) -> None:
        """Close at once; what is held is lost."""
        self._transport.abort()

    def is_closing(self) -> bool:
        """Tell whether it is closed, or will be."""
        return self._transport.is_closing()

    def can_write_eof(self) -> bool:
        """Tell whether it has halves that are closed apart."""
        return self._transport.can_write_eof()

    def pause_reading(self) -> None:
        """Read no more for now."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Tell about the socket and who is at its other end."""
        return self._transport.get_extra_info(name, default)
