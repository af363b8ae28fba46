"""A network that resets connections while they are made: an outage, never a bug of ours."""

import socket
import struct
import threading
from collections.abc import Iterator

import pytest
import uvloop

from payment_service.domain.errors import StorageUnavailable
from payment_service.providers.exchange import connect
from payment_service.providers.guard import Guard
from payment_service.providers.payos.client import PayOSClient
from payment_service.providers.payos.settings import Credentials
from payment_service.providers.provider import Operation, ProviderError
from payment_service.storage.database import Database

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with RST
TRIES = 100  # the driver meets the closed socket at several places, by chance


@pytest.fixture
def resetting() -> Iterator[int]:
    """The port of a server that resets every connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_mysql_that_resets_new_connections_is_unavailable(resetting: int) -> None:
    """With uvloop, as in production: its transports forget the socket of a lost connection."""

    async def ask() -> None:
        url = f"mysql+asyncmy://user:password@127.0.0.1:{resetting}/payments"
        async with Database.open(url) as database:
            for _ in range(TRIES):
                with pytest.raises(StorageUnavailable):
                    await database.check()

    uvloop.run(ask())


def test_payos_that_resets_new_connections_is_an_outage(resetting: int) -> None:
    async def ask() -> None:
        async with connect("payOS", f"http://127.0.0.1:{resetting}") as http:
            for _ in range(TRIES):
                client = PayOSClient(http, Credentials("c", "a", "k"), Guard(lambda _: None))
                with pytest.raises(ProviderError):
                    await client.call(Operation.CREATE, "POST", "/v2/payment-requests", body={})

    uvloop.run(ask())
