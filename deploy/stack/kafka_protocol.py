"""Two requests of the Kafka protocol, to see that a broker is ready to serve clients.

Source: Kafka protocol guide, request header v1, ApiVersions v0, Metadata v1.
"""

import socket
import struct

TIMEOUT_SECONDS = 5.0
RESPONSE_BYTES_MIN, RESPONSE_BYTES_MAX = 8, 1 << 20
METADATA, API_VERSIONS = 3, 18
CLIENT_ID = b"stack"
CORRELATION_ID = 7
NO_TOPICS = struct.pack(">i", 0)


def count_brokers(port: int) -> int:
    """Ask the broker on a port of 127.0.0.1 how many brokers it knows to be alive.

    A broker that is starting answers requests before the controller counts it in: it is ready
    when it knows of one, itself.

    Raises:
        OSError: it is not there, broke off, or its answer makes no sense.
    """
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS) as connection:
        versions = _exchange(connection, API_VERSIONS, version=0, body=b"")
        (error,) = struct.unpack_from(">h", versions)
        if error:
            raise ConnectionError(f"ApiVersions answered error {error}")
        metadata = _exchange(connection, METADATA, version=1, body=NO_TOPICS)
    (brokers,) = struct.unpack_from(">i", metadata)
    return int(brokers)


def _exchange(connection: socket.socket, api: int, *, version: int, body: bytes) -> bytes:
    header = struct.pack(">hhih", api, version, CORRELATION_ID, len(CLIENT_ID)) + CLIENT_ID
    connection.sendall(struct.pack(">i", len(header) + len(body)) + header + body)
    (size,) = struct.unpack(">i", _read(connection, 4))
    if not RESPONSE_BYTES_MIN <= size <= RESPONSE_BYTES_MAX:
        raise ConnectionError("this is not a Kafka broker")
    answer = _read(connection, size)
    if answer[:4] != struct.pack(">i", CORRELATION_ID):
        raise ConnectionError("this is not a Kafka broker")
    return answer[4:]


def _read(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        chunk = connection.recv(size - len(data))
        if not chunk:
            raise ConnectionError("the broker closed the connection")
        data += chunk
    return bytes(data)
