"""Just enough of the MySQL client protocol for the administrator of a private server.

One statement over one connection to the Unix socket, as a user without a password, with rows read
as text. It spares this package a driver. Source: MySQL Internals, Client/Server Protocol:
Connection Phase (HandshakeV10, HandshakeResponse41) and Command Phase (COM_QUERY).
"""

import os
import socket
import struct
from pathlib import Path

from deploy.stack.errors import QueryFailed

Row = tuple[str | None, ...]

TIMEOUT_SECONDS = 10.0
PACKET_BYTES_MAX = 0xFFFFFF
CLIENT_PROTOCOL_41 = 0x0000_0200
CLIENT_SECURE_CONNECTION = 0x0000_8000
CLIENT_PLUGIN_AUTH = 0x0008_0000
CHARSET_UTF8MB4 = 45
COM_QUERY = b"\x03"
OK, EOF, ERROR, NULL = 0x00, 0xFE, 0xFF, 0xFB
EOF_BYTES_MAX = 9
"""A packet that begins like EOF but is this long or longer is a row with a huge first value."""


def query(socket_path: Path, statement: str, *, user: str = "root") -> list[Row]:
    """Run one statement and return its rows, each value as text.

    Raises:
        OSError: the server is not there, or broke off.
        QueryFailed: it refused the login or the statement.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT_SECONDS)
        _connect(connection, socket_path)
        wire = _Wire(connection)
        _log_in(wire, user)
        wire.begin_command()
        wire.send(COM_QUERY + statement.encode())
        return _read_rows(wire)


def _connect(connection: socket.socket, path: Path) -> None:
    # The address of a socket holds 107 bytes and temporary directories can be longer: Linux
    # reaches the directory through its open descriptor.
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        connection.connect(f"/proc/self/fd/{directory}/{path.name}")
    finally:
        os.close(directory)


def read_greeting_version(port: int) -> str:
    """Return the version from the greeting of the server on a TCP port of 127.0.0.1.

    Raises:
        OSError: there is no such server, or it refuses connections.
    """
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS) as connection:
        greeting = _Wire(connection).receive()
    return _version(greeting)


class _Wire:
    """Packets: three bytes of length, one of sequence number, and the payload."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._sequence = 0

    def begin_command(self) -> None:
        self._sequence = 0

    def send(self, payload: bytes) -> None:
        assert len(payload) < PACKET_BYTES_MAX
        header = len(payload).to_bytes(3, "little") + bytes([self._sequence])
        self._connection.sendall(header + payload)
        self._sequence += 1

    def receive(self) -> bytes:
        header = self._read(4)
        self._sequence = (header[3] + 1) % 256
        payload = self._read(int.from_bytes(header[:3], "little"))
        if payload[:1] == bytes([ERROR]):
            raise _error(payload)
        return payload

    def _read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            chunk = self._connection.recv(size - len(data))
            if not chunk:
                raise ConnectionError("the server closed the connection")
            data += chunk
        return bytes(data)


def _log_in(wire: _Wire, user: str) -> None:
    greeting = wire.receive()
    _version(greeting)
    plugin = greeting.rstrip(b"\0").rpartition(b"\0")[2]
    flags = CLIENT_PROTOCOL_41 | CLIENT_SECURE_CONNECTION | CLIENT_PLUGIN_AUTH
    settings = struct.pack("<IIB23x", flags, PACKET_BYTES_MAX, CHARSET_UTF8MB4)
    no_password = b"\0"
    wire.send(settings + user.encode() + b"\0" + no_password + plugin + b"\0")
    if wire.receive()[0] == EOF:  # asked to use another method: no password is empty in each
        wire.send(b"")
        wire.receive()


def _version(greeting: bytes) -> str:
    if greeting[:1] != b"\x0a":
        raise ConnectionError("this is not a MySQL server")
    return greeting[1 : greeting.index(0, 1)].decode()


def _read_rows(wire: _Wire) -> list[Row]:
    first = wire.receive()
    if first[0] == OK:
        return []
    for _ in range(first[0] + 1):  # the columns' definitions and the mark after them
        wire.receive()
    rows = []
    while not _is_end(packet := wire.receive()):
        rows.append(_row(packet))
    return rows


def _is_end(packet: bytes) -> bool:
    return packet[0] == EOF and len(packet) < EOF_BYTES_MAX


def _row(packet: bytes) -> Row:
    values: list[str | None] = []
    position = 0
    while position < len(packet):
        if packet[position] == NULL:
            values.append(None)
            position += 1
            continue
        length, position = _length(packet, position)
        values.append(packet[position : position + length].decode(errors="replace"))
        position += length
    return tuple(values)


def _length(packet: bytes, position: int) -> tuple[int, int]:
    """Return a length-encoded integer and the position after it."""
    first = packet[position]
    size = {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(first, 0)
    if not size:
        return first, position + 1
    end = position + 1 + size
    return int.from_bytes(packet[position + 1 : end], "little"), end


def _error(payload: bytes) -> Exception:
    code = int.from_bytes(payload[1:3], "little")
    # "#" and five characters of SQLSTATE come first, except before the handshake is over.
    text = payload[9:] if payload[3:4] == b"#" else payload[3:]
    return QueryFailed(code, text.decode(errors="replace"))
