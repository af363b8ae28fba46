"""Starlette on a raw asyncmy pool: signature, two inserts, commit; one transaction a request."""

import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncmy
import msgspec
from asyncmy.errors import IntegrityError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests.benchmarks.peers.ids import new_id
from tests.benchmarks.peers.serve import serve
from tests.benchmarks.peers.settings import CHECKSUM_KEY, CONNECTIONS, asyncmy_options

KEY = CHECKSUM_KEY.encode()
ACKNOWLEDGED = b'{"success":true}'
INSERT_WEBHOOK = (
    "INSERT INTO webhook_events (id, provider, event_id, schema_version, payload, status, attempts,"
    " received_at, next_check_at, redact_at) VALUES (%s, 'payos', %s, 'v1', %s, 'received', 0, %s,"
    " %s, %s)"
)
INSERT_MESSAGE = (
    "INSERT INTO outbox_events (shard, topic, message_key, message_id, payload, headers, status,"
    " attempts, created_at) VALUES (%s, 'payments.webhooks.v1', %s, %s, %s, '{}', 'pending', 0, %s)"
)
CHECK_AFTER, KEPT = timedelta(seconds=30), timedelta(days=90)


def is_signed(data: dict[str, Any], signature: str) -> bool:
    """Check payOS's signature."""
    text = "&".join(f"{name}={'' if data[name] is None else data[name]}" for name in sorted(data))
    expected = hmac.new(KEY, text.encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, signature)


async def receive(request: Request) -> Response:
    """Store a webhook and the message that tells of it."""
    body = await request.body()
    envelope = msgspec.json.decode(body)
    data = envelope["data"]
    if not is_signed(data, envelope["signature"]):
        return Response(status_code=401)
    now = datetime.now(UTC).replace(tzinfo=None)
    webhook_id, key = new_id("whk"), str(data["orderCode"])
    event_id = f"{key}:{data['paymentLinkId']}:{data['reference']}"
    message = msgspec.json.encode({"event_version": 1, "webhook_id": webhook_id, "at": now})
    row = (webhook_id, event_id, body, now, now + CHECK_AFTER, now + KEPT)
    async with request.app.state.pool.acquire() as connection, connection.cursor() as cursor:
        try:
            await cursor.execute(INSERT_WEBHOOK, row)
            shard = data["orderCode"] % 16
            await cursor.execute(INSERT_MESSAGE, (shard, key, new_id("msg"), message, now))
            await connection.commit()
        except IntegrityError:
            await connection.rollback()  # it came before
    return Response(ACKNOWLEDGED, media_type="application/json")


async def ready(_request: Request) -> Response:
    """Say that we are there."""
    return PlainTextResponse("ready")


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Open the pool."""
    pool = await asyncmy.create_pool(minsize=CONNECTIONS, maxsize=CONNECTIONS, **asyncmy_options())
    app.state.pool = pool
    yield
    pool.close()
    await pool.wait_closed()


if __name__ == "__main__":
    serve(
        Starlette(
            lifespan=lifespan,
            routes=[
                Route("/v1/webhooks/payos", receive, methods=["POST"]),
                Route("/ready", ready),
            ],
        )
    )
