"""What both channels check of a request: credentials, and a body that is an object."""

import functools
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from payos_simulator import envelope
from payos_simulator.config import Channel
from payos_simulator.ledger import Refused

Handler = Callable[[Request], Awaitable[Response]]


def checked(handler: Handler, channel: Channel) -> Handler:
    """Check the credentials before a handler, and turn its refusal into payOS's answer."""

    @functools.wraps(handler)
    async def handle(request: Request) -> Response:
        try:
            _check_credentials(request, channel)
            return await handler(request)
        except Refused as error:
            return envelope.refused(error)

    return handle


def _check_credentials(request: Request, channel: Channel) -> None:
    client_id = request.headers.get("x-client-id")
    api_key = request.headers.get("x-api-key")
    if not client_id or not api_key:
        raise Refused("401", "Unauthorized")
    if client_id != channel.client_id:
        raise Refused("214", "Cổng thanh toán không tồn tại hoặc đã tạm dừng")
    if api_key != channel.api_key:
        raise Refused("401", "Unauthorized")


async def read_json(request: Request) -> dict[str, Any]:
    """Read a body; none at all is an empty object, as the Node SDK sends on cancel."""
    raw = await request.body()
    try:
        body = json.loads(raw) if raw else {}
    except ValueError as error:
        raise Refused("20", "body") from error
    require(isinstance(body, dict), "body")
    return dict(body)


def require(condition: object, name: str) -> None:
    """Refuse a value that is not acceptable."""
    if not condition:
        raise Refused("20", f"Thông tin truyền lên không đúng: {name}")
