"""VietQR: the text of a bank transfer's QR code. Source: EMVCo merchant QR, NAPAS VietQR."""


def text(*, bank_bin: str, account: str, amount: int, description: str) -> str:
    """Write the text, with its checksum."""
    receiver = _field("00", bank_bin) + _field("01", account)
    napas = _field("00", "A000000727") + _field("01", receiver) + _field("02", "QRIBFTTA")
    body = "".join(
        (
            _field("00", "01"),
            _field("01", "12"),  # for one payment
            _field("38", napas),
            _field("53", "704"),  # VND
            _field("54", str(amount)),
            _field("58", "VN"),
            _field("62", _field("08", description)),
            "6304",
        )
    )
    return body + f"{crc16(body.encode()):04X}"


def _field(tag: str, value: str) -> str:
    return f"{tag}{len(value):02d}{value}"


def crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1021) & 0xFFFF if crc & 0x8000 else (crc << 1) & 0xFFFF
    return crc
