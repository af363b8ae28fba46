"""Idempotency keys: claim one, learn what it already means, keep the answer.

The claim is committed before the provider is called: an open insert would make a twin request wait
for the lock instead of being told that the first one is running.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Update, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from payment_service.domain.errors import IdempotencyInProgress, IdempotencyKeyReused
from payment_service.domain.idempotency import (
    LEASE,
    RETENTION,
    IdempotentRequest,
    StoredResponse,
)
from payment_service.storage.database import Repeat, Session
from payment_service.storage.faults import is_duplicate
from payment_service.storage.models import IdempotencyKey

IN_PROGRESS = "in_progress"
DONE = "done"
RETRY_AFTER_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to answer under a key, until the lease ends and somebody takes it over."""

    tenant_id: str
    key: str
    fence: int
    resource_id: str
    is_new: bool


async def is_known(session: Session, request: IdempotentRequest) -> bool:
    """Tell whether the key was used before, for whatever request."""
    return await session.get(IdempotencyKey, (request.tenant_id, request.key)) is not None


async def claim(
    session: Session, request: IdempotentRequest, *, resource_id: str, now: datetime
) -> Claim | StoredResponse:
    """Claim the key for `resource_id`, or return the answer that it already has.

    A request that died is taken over: the claim then names its resource, and `is_new` is false.

    Raises:
        IdempotencyKeyReused: The key was used for a different request.
        IdempotencyInProgress: The first request still works.
    """
    known = await session.get(IdempotencyKey, (request.tenant_id, request.key))
    if known is None:
        return await _insert(session, request, resource_id=resource_id, now=now)
    if known.fingerprint != request.fingerprint:
        raise IdempotencyKeyReused("This Idempotency-Key was used for a different request.")
    if known.state == DONE:
        assert known.response_status is not None
        return StoredResponse(
            known.response_status, dict(known.response_headers or {}), known.response_body or b""
        )
    if known.lease_until > now:
        raise IdempotencyInProgress(RETRY_AFTER_SECONDS)
    return await _take_over(session, known, now=now)


async def _insert(
    session: Session, request: IdempotentRequest, *, resource_id: str, now: datetime
) -> Claim:
    row = {
        "tenant_id": request.tenant_id,
        "key": request.key,
        "fingerprint": request.fingerprint,
        "operation": request.operation,
        "resource_id": resource_id,
        "state": IN_PROGRESS,
        "fence": 1,
        "lease_until": now + LEASE,
        "created_at": now,
    }
    try:
        await session.execute(insert(IdempotencyKey).values(row))
    except IntegrityError as error:
        if is_duplicate(error):
            raise Repeat from error  # a twin was faster: look again
        raise
    return Claim(request.tenant_id, request.key, 1, resource_id, is_new=True)


async def _take_over(session: Session, known: IdempotencyKey, *, now: datetime) -> Claim:
    fence = known.fence + 1
    taken = await session.execute(
        _owned(known.tenant_id, known.key, known.fence).values(fence=fence, lease_until=now + LEASE)
    )
    if taken.rowcount != 1:  # type: ignore[attr-defined]  # a CursorResult, which has it
        raise IdempotencyInProgress(RETRY_AFTER_SECONDS)
    assert known.resource_id is not None
    return Claim(known.tenant_id, known.key, fence, known.resource_id, is_new=False)


async def complete(
    session: Session, held: Claim, response: StoredResponse, *, now: datetime
) -> None:
    """Keep the answer.

    Raises:
        IdempotencyInProgress: The claim was taken over meanwhile; the transaction must not commit.
    """
    done = await session.execute(
        _owned(held.tenant_id, held.key, held.fence).values(
            state=DONE,
            response_status=response.status,
            response_headers=response.headers,
            response_body=response.body,
            completed_at=now,
        )
    )
    if done.rowcount != 1:  # type: ignore[attr-defined]  # a CursorResult, which has it
        raise IdempotencyInProgress(RETRY_AFTER_SECONDS)


async def release(session: Session, held: Claim, *, now: datetime) -> None:
    """Give the claim up without an answer: the next request with the key goes on from here."""
    await session.execute(_owned(held.tenant_id, held.key, held.fence).values(lease_until=now))


async def purge(session: Session, *, now: datetime, limit: int) -> int:
    """Forget answers older than the retention; return how many."""
    old = (
        select(IdempotencyKey.tenant_id, IdempotencyKey.key)
        .where(IdempotencyKey.state == DONE, IdempotencyKey.completed_at < now - RETENTION)
        .limit(limit)
    )
    keys = (await session.execute(old)).all()
    for tenant_id, key in keys:
        await session.execute(
            delete(IdempotencyKey).where(
                IdempotencyKey.tenant_id == tenant_id, IdempotencyKey.key == key
            )
        )
    return len(keys)


def _owned(tenant_id: str, key: str, fence: int) -> Update:
    return update(IdempotencyKey).where(
        IdempotencyKey.tenant_id == tenant_id,
        IdempotencyKey.key == key,
        IdempotencyKey.fence == fence,
        IdempotencyKey.state == IN_PROGRESS,
    )
