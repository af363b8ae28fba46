"""Idempotency keys: claim one, learn what it already means, keep the answer.

The claim is committed before the provider is called: an open insert would make a twin request wait
for the lock instead of being told that the first one is running.

A claim has a lease and a fence. The lease only says when others may try; the fence, which grows
with every owner, decides: whoever was taken over writes nothing any more, however late it wakes. So
clocks that disagree cost patience, never correctness (docs/decisions/0009).
"""

import hmac
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any, cast

from sqlalchemy import Table, Update, bindparam, delete, func, select, tuple_, update

from payment_service.domain.errors import IdempotencyInProgress, IdempotencyKeyReused
from payment_service.domain.facts import KeyUsed
from payment_service.domain.idempotency import (
    LEASE,
    RETENTION,
    IdempotentRequest,
    StoredResponse,
)
from payment_service.storage import bulk, guarded
from payment_service.storage.database import Session, tell
from payment_service.storage.models import IdempotencyKey

IN_PROGRESS = "in_progress"
DONE = "done"
RETRY_AFTER_SECONDS = 1
CHECK_INTERVALS = tuple(timedelta(seconds=n) for n in (1, 2, 5, 15, 60, 300))
"""When an abandoned claim is taken up again, by how many owners it has had."""

_TABLE = cast("Table", IdempotencyKey.__table__)
_ABANDONED = (
    IdempotencyKey.state == IN_PROGRESS,
    IdempotencyKey.operation == bindparam("operation"),
    IdempotencyKey.lease_until <= bindparam("now"),
    IdempotencyKey.next_check_at <= bindparam("now"),
)
_NAMES_ABANDONED = (
    select(IdempotencyKey.resource_id)
    .where(*_ABANDONED)
    .order_by(IdempotencyKey.next_check_at)
    .limit(bindparam("limit"))
)

Hold = Callable[[Session, str], Awaitable[object]]
"""Locks the row of an id."""


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
    session: Session,
    request: IdempotentRequest,
    *,
    resource_id: str,
    now: datetime,
    hold: Hold | None = None,
    look: bool = True,
) -> Claim | StoredResponse:
    """Claim the key for `resource_id`, or return the answer that it already has.

    A request that died is taken over: the claim then names its resource, and `is_new` is false.
    `hold` locks that resource, where the caller could not: everybody locks keys last. Without
    `look` the key is taken for a new one.

    Raises:
        Repeat: It was not new.
        IdempotencyKeyReused: The key was used for a different request.
        IdempotencyInProgress: The first request still works.
    """
    known = await session.get(IdempotencyKey, (request.tenant_id, request.key)) if look else None
    if known is None:
        tell(session, KeyUsed("executed"))
        return await _insert(session, request, resource_id=resource_id, now=now)
    if not hmac.compare_digest(known.fingerprint, request.fingerprint):
        raise IdempotencyKeyReused("This Idempotency-Key was used for a different request.")
    if known.state == DONE:
        assert known.response_status is not None
        tell(session, KeyUsed("replayed"))
        return StoredResponse(
            known.response_status, dict(known.response_headers or {}), known.response_body or b""
        )
    if known.lease_until > now:
        raise IdempotencyInProgress(RETRY_AFTER_SECONDS)
    tell(session, KeyUsed("resumed"))
    if hold is not None and known.resource_id is not None:
        await hold(session, known.resource_id)
    return await _take_over(session, known, now=now)


async def list_abandoned(
    session: Session, operation: str, *, now: datetime, limit: int
) -> Sequence[str]:
    """Name the resources of claims that nobody works on, the longest waiting first."""
    asked = {"operation": operation, "now": now, "limit": limit}
    return [name for name in await session.scalars(_NAMES_ABANDONED, asked) if name is not None]


async def find_oldest_open(session: Session, operation: str) -> datetime | None:
    """Tell since when the oldest claim of an operation waits for its answer."""
    return await session.scalar(
        select(func.min(IdempotencyKey.created_at)).where(
            IdempotencyKey.state == IN_PROGRESS, IdempotencyKey.operation == operation
        )
    )


async def take_up_abandoned(
    session: Session, operation: str, *, resource_id: str, now: datetime
) -> Claim | None:
    """Go on with a claim that nobody works on; None when somebody does, or it was answered."""
    known = await session.scalar(
        select(IdempotencyKey).where(*_ABANDONED, IdempotencyKey.resource_id == resource_id),
        {"operation": operation, "now": now},
    )
    return None if known is None else await _take_over(session, known, now=now)


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
        "next_check_at": now + LEASE,
    }
    await bulk.insert_all(session, IdempotencyKey, [row])  # Repeat: a twin was faster
    return Claim(request.tenant_id, request.key, 1, resource_id, is_new=True)


async def _take_over(session: Session, known: IdempotencyKey, *, now: datetime) -> Claim:
    assert known.resource_id is not None
    held = Claim(known.tenant_id, known.key, known.fence, known.resource_id, is_new=False)
    await _write(session, held, fence=held.fence + 1, **_lease(now))
    return replace(held, fence=held.fence + 1)


async def extend(session: Session, held: Claim, *, now: datetime) -> None:
    """Prove that the claim is still held, and hold it for another lease.

    Every step of its owner starts with this or ends with `complete`. The row stays locked until the
    transaction ends, so nobody can take the claim over in between.

    Raises:
        IdempotencyInProgress: The claim was taken over meanwhile; the transaction must not commit.
    """
    await _write(session, held, **_lease(now))


async def complete(
    session: Session, held: Claim, response: StoredResponse, *, now: datetime
) -> None:
    """Keep the answer.

    Raises:
        IdempotencyInProgress: The claim was taken over meanwhile; the transaction must not commit.
    """
    await _write(
        session,
        held,
        state=DONE,
        response_status=response.status,
        response_headers=response.headers,
        response_body=response.body,
        completed_at=now,
        next_check_at=None,
    )


async def release(session: Session, held: Claim, *, now: datetime) -> None:
    """Give the claim up without an answer: the next request with the key goes on from here.

    When none comes the scheduler does, after a while that grows with the number of tries.
    """
    patience = CHECK_INTERVALS[min(held.fence, len(CHECK_INTERVALS)) - 1]
    lease = {"lease_until": now, "next_check_at": now + patience}
    await session.execute(_changing(*lease), {**_owner(held), **lease})


async def purge(session: Session, *, now: datetime, limit: int) -> int:
    """Forget answers older than the retention; return how many. What is not answered is kept."""
    old = (
        select(IdempotencyKey.tenant_id, IdempotencyKey.key)
        .where(IdempotencyKey.state == DONE, IdempotencyKey.completed_at < now - RETENTION)
        .limit(limit)
    )
    keys = [(tenant_id, key) for tenant_id, key in await session.execute(old)]
    if keys:
        await session.execute(
            delete(IdempotencyKey).where(
                tuple_(IdempotencyKey.tenant_id, IdempotencyKey.key).in_(keys)
            )
        )
    return len(keys)


def _lease(now: datetime) -> dict[str, Any]:
    return {"lease_until": now + LEASE, "next_check_at": now + LEASE}


async def _write(session: Session, held: Claim, **values: Any) -> None:
    if not await guarded.change_one(session, _changing(*values), {**_owner(held), **values}):
        raise IdempotencyInProgress(RETRY_AFTER_SECONDS)


@cache
def _changing(*columns: str) -> Update:
    """Build the statement by which an owner changes some columns, if it still is the owner."""
    return (
        update(_TABLE)
        .where(
            _TABLE.c.tenant_id == bindparam("owner_tenant_id"),
            _TABLE.c.key == bindparam("owner_key"),
            _TABLE.c.fence == bindparam("owner_fence"),
            _TABLE.c.state == IN_PROGRESS,
        )
        .values({name: bindparam(name) for name in columns})
    )


def _owner(held: Claim) -> dict[str, Any]:
    return {
        "owner_tenant_id": held.tenant_id,
        "owner_key": held.key,
        "owner_fence": held.fence,
    }
