"""Leases: jobs that only one process does at a time, and that another takes over when it dies.

A lease that lasts longer than anybody takes one was written by a clock that is fast. It is not
believed, and cut short by the first who asks for it: a process with a clock that is an hour fast
would stop the job for an hour when it dies.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from payment_service.storage.database import Repeat, Session
from payment_service.storage.faults import is_duplicate
from payment_service.storage.models import Lease

# Built once: they run every few seconds in every process.
_NAMED = Lease.name.startswith(bindparam("prefix"))
_MINE = (_NAMED, Lease.owner == bindparam("whose"), Lease.expires_at > bindparam("now"))
_RENEW = (
    update(Lease)
    .where(*_MINE)
    .values(expires_at=bindparam("until"))
    .execution_options(synchronize_session=False)
)
_LIST_MINE = select(Lease.name).where(*_MINE)
_COUNT_LIVE = select(func.count()).where(
    _NAMED, Lease.expires_at > bindparam("now"), Lease.expires_at <= bindparam("believed_until")
)
BELIEVED = 2  # times its duration: clocks may differ by as much as a lease lasts


async def acquire(
    session: Session, name: str, *, owner: str, now: datetime, duration: timedelta
) -> bool:
    """Take or keep a lease; false while somebody else holds it."""
    known = await session.get(Lease, name, with_for_update=True, populate_existing=True)
    if known is None:
        await _insert(session, name, owner=owner, expires_at=now + duration)
        return True
    if known.owner != owner and known.expires_at > now:
        if known.expires_at > now + BELIEVED * duration:
            known.expires_at = now + duration
        return False
    if known.owner != owner:
        known.fence += 1
    known.owner = owner
    known.expires_at = now + duration
    return True


async def _insert(session: Session, name: str, *, owner: str, expires_at: datetime) -> None:
    try:
        await session.execute(
            insert(Lease).values(name=name, owner=owner, fence=1, expires_at=expires_at)
        )
    except IntegrityError as error:
        if is_duplicate(error):
            raise Repeat from error
        raise


async def renew(
    session: Session, prefix: str, *, owner: str, now: datetime, duration: timedelta
) -> Sequence[str]:
    """Keep all leases of an owner whose names start with `prefix`; return their names.

    In a prefix `%` and `_` would stand for anything: ours have neither.
    """
    mine = {"prefix": prefix, "whose": owner, "now": now}
    await session.execute(_RENEW, {**mine, "until": now + duration})
    return (await session.scalars(_LIST_MINE, mine)).all()


async def count_live(session: Session, prefix: str, *, now: datetime, duration: timedelta) -> int:
    """Count the live leases whose names start with `prefix`, and that are taken for `duration`."""
    asked = {"prefix": prefix, "now": now, "believed_until": now + BELIEVED * duration}
    return int((await session.execute(_COUNT_LIVE, asked)).scalar_one())


async def release(session: Session, *, owner: str) -> None:
    """Give up all leases of an owner, for a quick hand-over."""
    await session.execute(delete(Lease).where(Lease.owner == owner))


async def release_one(session: Session, name: str, *, owner: str) -> None:
    """Give up one lease."""
    await session.execute(delete(Lease).where(Lease.name == name, Lease.owner == owner))
