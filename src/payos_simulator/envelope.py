"""payOS's answers: an envelope with a code, and a signature over its data."""

from typing import Any

from starlette.responses import JSONResponse

from payos_simulator import signatures
from payos_simulator.config import Channel
from payos_simulator.ledger import Refused

OK = "00"


def signed_in_body(data: dict[str, Any], channel: Channel) -> JSONResponse:
    """Answer as the payment channel does."""
    signature = signatures.of_data(data, channel.checksum_key)
    return JSONResponse({"code": OK, "desc": "success", "data": data, "signature": signature})


def signed_in_header(data: dict[str, Any], channel: Channel) -> JSONResponse:
    """Answer as the payout channel does."""
    headers = {"x-signature": signatures.of_payout(data, channel.checksum_key)}
    return JSONResponse({"code": OK, "desc": "success", "data": data}, headers=headers)


def unsigned(data: Any) -> JSONResponse:
    """Answer where payOS does not sign."""
    return JSONResponse({"code": OK, "desc": "success", "data": data})


def refused(error: Refused) -> JSONResponse:
    """Refuse: with HTTP 200, as payOS does, but for missing credentials."""
    status = {"401": 401, "403": 403}.get(error.code, 200)
    content = {"code": error.code, "desc": error.description, "data": None, "signature": None}
    return JSONResponse(content, status_code=status)
