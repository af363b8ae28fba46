"""FastAPI, pydantic and the SQLAlchemy ORM: the same rows as the service, in as many transactions.

A session is a dependency, models are added and committed, pydantic checks what comes and goes, and
httpx calls payOS: as the frameworks' own guides have it. What the service does on top (a contract
for errors and headers, sealed columns, takeover of dead requests) is left out.
"""

import hashlib
import itertools
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import jwt
import msgspec
from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.responses import PlainTextResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from tests.benchmarks.peers import fastapi_schemas as schemas, payos_client
from tests.benchmarks.peers.bare_webhooks import CHECK_AFTER, KEPT, is_signed
from tests.benchmarks.peers.ids import new_id
from tests.benchmarks.peers.orm import (
    AuditEntry,
    IdempotencyKey,
    OutboxEvent,
    Payment,
    PaymentAttempt,
    WebhookEvent,
    engine,
    sessions,
)
from tests.benchmarks.peers.serve import serve
from tests.benchmarks.peers.tokens import tenant_of

LEASE = timedelta(seconds=30)
PUBLIC_URL = "http://payments.example"
ORDER_CODES = itertools.count(time.time_ns() // 1_000)  # one process: nobody else counts


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Open and close what requests share."""
    async with payos_client.http:
        yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


async def new_session() -> AsyncIterator[AsyncSession]:
    """Open a session for a request."""
    async with sessions() as session:
        yield session


async def authenticate(
    credentials: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())],
) -> str:
    """Return the tenant of a token."""
    try:
        return tenant_of(credentials.credentials)
    except jwt.InvalidTokenError as error:
        raise HTTPException(401) from error


Session = Annotated[AsyncSession, Depends(new_session)]
Tenant = Annotated[str, Depends(authenticate)]
Key = Annotated[str, Header(min_length=1, max_length=255)]


def now_utc() -> datetime:
    """Tell the time as the database keeps it."""
    return datetime.now(UTC).replace(tzinfo=None)


@app.get("/ready")
async def ready() -> PlainTextResponse:
    """Say that we are there."""
    return PlainTextResponse("ready")


@app.post("/v1/webhooks/payos")
async def receive(
    webhook: schemas.Webhook, request: Request, session: Session
) -> schemas.Acknowledgement:
    """Store a webhook and the message that tells of it."""
    data = webhook.data
    if not is_signed(data.model_dump(by_alias=True), webhook.signature):
        raise HTTPException(401)
    now, key = now_utc(), str(data.order_code)
    event = WebhookEvent(
        id=new_id("whk"),
        provider="payos",
        event_id=f"{key}:{data.payment_link_id}:{data.reference}",
        schema_version="v1",
        payload=await request.body(),
        status="received",
        received_at=now,
        next_check_at=now + CHECK_AFTER,
        redact_at=now + KEPT,
    )
    told = {"event_version": 1, "webhook_id": event.id, "at": now}
    session.add_all([event, message("payments.webhooks.v1", key, told, now)])
    try:
        await session.commit()
    except IntegrityError:
        await session.rollback()  # it came before
    return schemas.Acknowledgement()


@app.post("/v1/payments", status_code=201, response_model=schemas.Payment)
async def create_payment(
    body: schemas.CreatePayment,
    idempotency_key: Key,
    tenant: Tenant,
    session: Session,
    response: Response,
) -> Any:
    """Create a payment: write it down, ask payOS for a link, write the link down."""
    now = now_utc()
    fingerprint = hashlib.sha256(body.model_dump_json().encode()).hexdigest()
    known = await session.get(IdempotencyKey, (tenant, idempotency_key))
    if known is not None:
        return replay(known, fingerprint)
    payment = new_payment(body, tenant, now)
    attempt = new_attempt(payment, now)
    claim = IdempotencyKey(
        tenant_id=tenant,
        key=idempotency_key,
        fingerprint=fingerprint,
        operation="createPayment",
        resource_id=payment.id,
        state="in_progress",
        lease_until=now + LEASE,
        created_at=now,
        next_check_at=now + LEASE,
    )
    session.add_all([payment, claim])
    try:
        await session.flush()  # the link refers to the payment
        session.add(attempt)
        await session.commit()
    except IntegrityError as error:
        raise HTTPException(409) from error
    link = await payos_client.create_link(payment, attempt)
    attempt.state = "open"
    attempt.provider_reference = link["paymentLinkId"]
    attempt.checkout_url = link["checkoutUrl"]
    attempt.qr_code = link["qrCode"]
    payment.version = 1
    payment.updated_at = now_utc()
    shown = show(payment, attempt)
    told = {"type": "payment.created", "subject": payment.id, "data": shown.model_dump(mode="json")}
    session.add_all([
        AuditEntry(
            payment_id=payment.id,
            at=payment.updated_at,
            actor="client",
            actor_id=tenant,
            action="payment.created",
            to_status=payment.status,
            version=1,
            amount=payment.amount,
        ),
        message("payments.events.v1", payment.id, told, payment.updated_at),
    ])  # fmt: skip
    claim.state = "done"
    claim.response_status = 201
    claim.response_body = shown.model_dump_json().encode()
    claim.completed_at = now_utc()
    claim.next_check_at = None
    await session.commit()
    response.headers["location"] = f"/v1/payments/{payment.id}"
    return shown


@app.get("/v1/payments/{payment_id}")
async def get_payment(payment_id: str, tenant: Tenant, session: Session) -> schemas.Payment:
    """Read a payment."""
    payment = await session.get(Payment, payment_id)
    if payment is None or payment.tenant_id != tenant:
        raise HTTPException(404)
    attempt = await session.scalar(
        select(PaymentAttempt)
        .where(PaymentAttempt.payment_id == payment_id)
        .order_by(PaymentAttempt.number.desc())
        .limit(1)
    )
    assert attempt is not None, "a payment has a link"
    return show(payment, attempt)


def replay(known: IdempotencyKey, fingerprint: str) -> Response:
    """Give the answer that the key has."""
    if known.fingerprint != fingerprint:
        raise HTTPException(422)
    if known.state != "done" or known.response_status is None:
        raise HTTPException(409)
    return Response(known.response_body, known.response_status, media_type="application/json")


def new_payment(body: schemas.CreatePayment, tenant: str, now: datetime) -> Payment:
    """Make a payment."""
    expires_at = (now + timedelta(seconds=body.expires_in_seconds)).replace(microsecond=0)
    return Payment(
        id=new_id("pay"),
        tenant_id=tenant,
        status="pending",
        version=0,
        amount=body.amount,
        currency=body.currency,
        order_reference=body.order_reference,
        description=body.description,
        return_url=str(body.return_url),
        cancel_url=str(body.cancel_url),
        payment_metadata=body.metadata,
        provider="payos",
        created_at=now,
        updated_at=now,
        expires_at=expires_at,
        next_check_at=expires_at,
    )


def new_attempt(payment: Payment, now: datetime) -> PaymentAttempt:
    """Make its link."""
    return PaymentAttempt(
        id=new_id("att"),
        payment_id=payment.id,
        number=1,
        order_code=next(ORDER_CODES),
        state="opening",
        transfer_text=f"PAY{secrets.token_hex(3).upper()}",
        qr_token=secrets.token_urlsafe(24),
        created_at=now,
    )


def message(topic: str, key: str, payload: dict[str, Any], now: datetime) -> OutboxEvent:
    """Make a message for the relay."""
    return OutboxEvent(
        shard=hash(key) % 16,
        topic=topic,
        message_key=key,
        message_id=new_id("msg"),
        payload=msgspec.json.encode(payload),
        headers={},
        created_at=now,
    )


def show(payment: Payment, attempt: PaymentAttempt) -> schemas.Payment:
    """Show a payment as the contract says."""
    return schemas.Payment(
        payment_id=payment.id,
        status=payment.status,
        version=payment.version,
        amount=payment.amount,
        currency=payment.currency,
        amounts=schemas.Amounts(
            requested=payment.amount,
            received=payment.amount_received,
            remaining=payment.amount - payment.amount_applied,
            refunded=payment.amount_refunded,
            refund_pending=payment.amount_reserved,
            unapplied=payment.amount_received - payment.amount_applied,
        ),
        order_reference=payment.order_reference,
        description=payment.description,
        provider=payment.provider,
        provider_reference=str(attempt.order_code),
        checkout_url=attempt.checkout_url,
        qr_code=attempt.qr_code,
        qr_token=attempt.qr_token,
        qr_url=f"{PUBLIC_URL}/v1/qr-codes/{attempt.qr_token}",
        exceptions=[],
        metadata=payment.payment_metadata,
        created_at=payment.created_at.replace(tzinfo=UTC),
        updated_at=payment.updated_at.replace(tzinfo=UTC),
        expires_at=payment.expires_at.replace(tzinfo=UTC),
    )


if __name__ == "__main__":
    serve(app)
