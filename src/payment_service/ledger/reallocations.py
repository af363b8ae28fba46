"""Moves the money of an exception to another payment, without touching what the bank reported.

Receipts stay with the payment that they reached. A reallocation says how much of one counts for
another payment, and both payments tell of it in the transaction that moves it.
"""

from datetime import datetime

from payment_service.domain.audit import Actor
from payment_service.domain.ids import new_id
from payment_service.domain.money_exception import Outcome
from payment_service.domain.payment import PaymentStatus
from payment_service.domain.receipt import ExceptionCode, judge
from payment_service.ledger.exceptions import resolve
from payment_service.ledger.receipts import Credit, credit
from payment_service.storage import payments
from payment_service.storage.database import Repeat, Session
from payment_service.storage.exceptions import Case
from payment_service.storage.models import Payment, Reallocation


async def apply(
    session: Session, case: Case, target: Payment, *, actor: Actor, reason: str, now: datetime
) -> None:
    """Resolve an exception by moving all that is available of its money to `target`.

    The caller holds both payments and the exception. Here the money counts as a transfer would:
    the same rules say what it pays, and what it leaves open.

    Raises:
        Repeat: The money was given away meanwhile; whoever looks again will see it.
    """
    exception, source, receipt, amount = case.exception, case.payment, case.receipt, case.available
    assert receipt is not None, "only transfers are moved"
    # What an underpaid payment had was applied to it; all other exceptions hold what was not.
    released = amount if exception.code == ExceptionCode.UNDERPAID else 0
    if source is not None:
        if not await payments.move_out(session, source.id, amount=amount, released=released):
            raise Repeat
        await session.refresh(source)
    verdict = judge(
        status=PaymentStatus(target.status),
        asked=target.amount,
        applied=target.amount_applied,
        amount=amount,
    )
    reallocation = Reallocation(
        id=new_id("rea", now),
        exception_id=exception.id,
        receipt_id=receipt.id,
        from_payment_id=source.id if source else None,
        to_payment_id=target.id,
        amount=amount,
        amount_released=released,
        amount_applied=verdict.amount_applied,
        actor=actor.kind,
        actor_id=actor.id,
        reason=reason,
        at=now,
    )
    await payments.add(session, reallocation)
    await resolve(
        session,
        source,
        exception,
        Outcome.APPLIED,
        reallocation=reallocation,
        actor=actor,
        reason=reason,
        now=now,
    )
    attempt = await payments.get_latest_attempt(session, target.id)
    moved = Credit(
        receipt=receipt, amount=amount, verdict=verdict, reallocation=reallocation, reason=reason
    )
    await credit(session, target, attempt, moved, latest=attempt, actor=actor, now=now)
