"""What one turn of the event loop writes goes in one piece; nothing is held for longer, or lost."""

import asyncio

import pytest

from openapi_runtime.gathered import HELD_BYTES_MAX, GatheredTransport


class Wire(asyncio.Transport):
    """Remembers what is done to it, in order; uvloop would refuse what comes after the end."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 9)})
        self.done: list[bytes | str] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.done.append(bytes(data))

    def write_eof(self) -> None:
        self.done.append("eof")

    def close(self) -> None:
        self.done.append("closed")

    def is_closing(self) -> bool:
        return "closed" in self.done

    def abort(self) -> None:
        self.done.append("closed")

    def can_write_eof(self) -> bool:
        return True

    def pause_reading(self) -> None:
        self.done.append("paused")

    def resume_reading(self) -> None:
        self.done.append("resumed")


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
async def transport(wire: Wire) -> GatheredTransport:
    return GatheredTransport(wire, asyncio.get_running_loop())


async def test_a_turn_of_the_loop_is_one_piece(wire: Wire, transport: GatheredTransport) -> None:
    for number in range(2):
        transport.write(b"head ")
        transport.write(b"body")
        assert len(wire.done) == number
        await asyncio.sleep(0)
    assert wire.done == [b"head body"] * 2


async def test_answers_of_a_turn_leave_at_its_end() -> None:
    wires = [Wire(), Wire()]
    loop = asyncio.get_running_loop()
    loop.call_soon(lambda: [GatheredTransport(wire, loop).write(b"answer") for wire in wires])
    loop.call_soon(lambda: [wire.done.append("the turn's last") for wire in wires])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [wire.done for wire in wires] == [["the turn's last", b"answer"]] * 2


async def test_much_is_not_held(wire: Wire, transport: GatheredTransport) -> None:
    large = b"a" * HELD_BYTES_MAX
    for _ in range(3):
        transport.write(large)
        transport.write(b"b")
    assert wire.done == [large + b"b"] * 3


async def test_what_is_held_goes_before_the_end(wire: Wire, transport: GatheredTransport) -> None:
    transport.write(b"first")
    transport.write_eof()
    transport.write(b"second")
    transport.close()
    assert wire.done == [b"first", "eof", b"second", "closed"]


async def test_nothing_is_sent_on_a_connection_that_is_gone(
    wire: Wire, transport: GatheredTransport
) -> None:
    transport.write(b"late")
    wire.close()
    await asyncio.sleep(0)
    assert wire.done == ["closed"]


async def test_lines_go_in_their_turn(wire: Wire, transport: GatheredTransport) -> None:
    transport.write(b"head ")
    transport.writelines([b"bo", b"dy"])
    await asyncio.sleep(0)
    assert wire.done == [b"head body"]


async def test_the_rest_is_the_connections_own(wire: Wire, transport: GatheredTransport) -> None:
    assert transport.get_extra_info("peername") == ("192.0.2.1", 9)
    assert transport.can_write_eof()
    assert not transport.is_closing()
    transport.pause_reading()
    transport.resume_reading()
    transport.write(b"lost")
    transport.abort()
    await asyncio.sleep(0)
    assert wire.done == ["paused", "resumed", "closed"]
    assert transport.is_closing()


async def test_what_would_pass_by_what_is_held_is_refused(transport: GatheredTransport) -> None:
    with pytest.raises(NotImplementedError):
        transport.get_write_buffer_size()
