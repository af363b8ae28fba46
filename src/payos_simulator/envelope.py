"""payOS's answers: an envelope with a code, and a signature over its data."""

from collections.abc import Callable, Mapping
from typing import Any

from starlette.responses import JSONResponse

from payos_simulator import signatures
from payos_simulator.config import Channel
from payos_simulator.ledger import Refused

OK = "00"
SIGNATURE = b"x-signature"


def signed_in_body(data: dict[str, Any], channel: Channel) -> JSONResponse:
    """Answer as the payment channel does."""
    signature = signatures.of_data(data, channel.checksum_key)
    return JSONResponse({"code": OK, "desc": "success", "data": data, "signature": signature})


def signed_in_header(data: dict[str, Any], channel: Channel) -> JSONResponse:
    """Answer as the payout channel does."""
    headers = {"x-signature": signatures.of_payout(data, channel.checksum_key)}
    return JSONResponse({"code": OK, "desc": "success", "data": data}, headers=headers)


Resign = Callable[[dict[str, Any], Mapping[bytes, bytes]], dict[bytes, bytes]]
"""Signs an envelope anew, in its body or, where its headers have a signature, in those returned."""


def signer_of(payment: Channel, payout: Channel) -> Resign:
    """Make what signs changed answers of both channels."""

    def resign(envelope: dict[str, Any], headers: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
        data = envelope["data"]
        if SIGNATURE in headers:
            return {SIGNATURE: signatures.of_payout(data, payout.checksum_key).encode()}
        envelope["signature"] = signatures.of_data(data, payment.checksum_key)
        return {}

    return resign


def unsigned(data: Any) -> JSONResponse:
    """Answer where payOS does not sign."""
    return JSONResponse({"code": OK, "desc": "success", "data": data})


def refused(error: Refused) -> JSONResponse:
    """Refuse: with HTTP 200, as payOS does, but for missing credentials."""
    status = {"401": 401, "403": 403}.get(error.code, 200)
    content = {"code": error.code, "desc": error.description, "data": None, "signature": None}
    return JSONResponse(content, status_code=status)
