"""The fault proxy does what it says, and everything passes again afterwards."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.chaos.proxy import Link

PATIENCE_SECONDS = 10.0
SHORT_SECONDS = 0.2


class Echo:
    """A server that gives back what it gets, and counts it."""

    def __init__(self) -> None:
        self.heard = 0
        self.port = 0
        self.talks: set[asyncio.StreamWriter] = set()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Echo one connection to its end."""
        self.talks.add(writer)
        try:
            while chunk := await reader.read(100):
                self.heard += 1
                writer.write(chunk)
                await writer.drain()
        except ConnectionError:
            return
        finally:
            writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    server = Echo()
    listener = await asyncio.start_server(server.talk, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    yield server
    listener.close()
    for writer in server.talks:
        writer.close()


@pytest.fixture
async def link(echo: Echo) -> AsyncIterator[Link]:
    opened = Link("echo")
    await opened.open()
    opened.lead_to(echo.port)
    yield opened
    await opened.close()


class Client:
    """One connection through the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, link: Link) -> "Client":
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", link.port))

    async def say(self, text: bytes, seconds: float = PATIENCE_SECONDS) -> bytes:
        """Send, and return what comes back; nothing if the connection has ended."""
        async with asyncio.timeout(seconds):
            self._writer.write(text)
            await self._writer.drain()
            return await self._reader.read(100)

    def close(self) -> None:
        """Disconnect."""
        self._writer.close()


async def passes(link: Link) -> bool:
    """Tell whether a new connection works."""
    client = await Client.connect(link)
    try:
        return await client.say(b"hello") == b"hello"
    except ConnectionError:
        return False
    finally:
        client.close()


async def is_over(client: Client) -> bool:
    """Tell whether a connection gives no answer any more."""
    try:
        return await client.say(b"two") == b""
    except ConnectionError:
        return True
    finally:
        client.close()


async def test_everything_passes(link: Link, echo: Echo) -> None:
    client = await Client.connect(link)

    said = [await client.say(text) for text in (b"one", b"two")]

    client.close()
    assert said == [b"one", b"two"]
    assert echo.heard == 2


async def test_a_cut_ends_connections_and_lets_new_ones_pass(link: Link) -> None:
    client = await Client.connect(link)
    await client.say(b"one")

    link.cut()

    assert await is_over(client)
    assert await passes(link)


async def test_the_nth_reply_is_lost_although_the_request_arrived(link: Link, echo: Echo) -> None:
    client = await Client.connect(link)
    link.lose_reply(2)

    assert await client.say(b"one") == b"one"
    assert await is_over(client)

    assert echo.heard == 2
    assert await passes(link)


async def test_refused_connections_end_at_once_while_it_lasts(link: Link) -> None:
    with link.refusing():
        assert not await passes(link)

    assert await passes(link)


async def test_a_black_hole_answers_nothing_until_it_ends(link: Link, echo: Echo) -> None:
    client = await Client.connect(link)
    await client.say(b"one")

    with link.swallowing():
        with pytest.raises(TimeoutError):
            await client.say(b"two", SHORT_SECONDS)
        assert echo.heard == 1
    answer = await client.say(b"")

    client.close()
    assert answer == b"two"


async def test_faults_end_when_their_injector_is_cancelled(link: Link) -> None:
    async def inject() -> None:
        with link.refusing(), link.swallowing(), link.delaying(PATIENCE_SECONDS):
            await asyncio.Event().wait()

    injector = asyncio.create_task(inject())
    await asyncio.sleep(0)
    injector.cancel()
    await asyncio.gather(injector, return_exceptions=True)

    assert await passes(link)


async def test_a_server_that_is_away_ends_connections(link: Link) -> None:
    link.lead_to(1)

    assert not await passes(link)
