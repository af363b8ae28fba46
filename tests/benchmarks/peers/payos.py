"""What stands in for payOS: it answers every request for a link at once, signed, and keeps nothing.

The simulator does all that payOS does; it would be slower than what is measured.
"""

import asyncio
import os
import signal

import msgspec
import uvloop

from payment_service.providers.payos.signature import sign_data

KEY = os.environ["PAYOS_CHECKSUM_KEY"]
HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length: "
READY = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nready"


class Payos(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(HEAD_END)
        if not end:
            return
        if head.startswith(b"GET "):
            self._answer(READY)
            return
        start = head.lower().index(LENGTH) + len(LENGTH)
        if len(body) >= int(head[start:].split(b"\r", 1)[0]):
            answer = _link(msgspec.json.decode(body))
            self._answer(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
                % len(answer)
                + answer
            )

    def _answer(self, answer: bytes) -> None:
        self._received = b""
        self._transport.write(answer)


def _link(asked: dict[str, object]) -> bytes:
    name = f"{asked['orderCode']:032d}"
    data = {
        "bin": "970422",
        "accountNumber": "12345678",
        "accountName": "CONG TY",
        "amount": asked["amount"],
        "description": asked["description"],
        "orderCode": asked["orderCode"],
        "currency": "VND",
        "paymentLinkId": name,
        "status": "PENDING",
        "checkoutUrl": f"https://pay.example/web/{name}",
        "qrCode": f"00020101021238570010A00000072701270006970422{name}6304ABCD",
    }
    envelope = {"code": "00", "desc": "success", "data": data, "signature": sign_data(data, KEY)}
    return msgspec.json.encode(envelope)


async def main() -> None:
    """Serve until told to end."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    await loop.create_server(Payos, "127.0.0.1", int(os.environ["PORT"]))
    await ended.wait()


if __name__ == "__main__":
    uvloop.run(main())
