"""Records bank transfers: each exactly once, whoever tells of it and however often.

Receipts are a set and their sum does not depend on order, so webhooks, polls and operators' replays
may come in any order and any number.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from payment_service.domain.audit import Actor
from payment_service.domain.facts import MoneyReceived
from payment_service.domain.ids import new_id
from payment_service.domain.money_exception import Outcome, was_in_time
from payment_service.domain.payment import PaymentStatus
from payment_service.domain.receipt import Disposition, ExceptionCode, Verdict, judge
from payment_service.ledger.changes import Change, announce, announce_created
from payment_service.ledger.exceptions import mark_resolved, raise_exception
from payment_service.providers.provider import Transfer
from payment_service.storage import payments
from payment_service.storage.database import Session, tell
from payment_service.storage.models import (
    MoneyException,
    Payment,
    PaymentAttempt,
    Reallocation,
    Receipt,
)
from payment_service.telemetry.masking import Masked

WATCH_CLOSED = timedelta(hours=48)
"""How long a closed link is looked at: banks book transfers of the night on the next day."""

WATCH_INTERVALS = tuple(timedelta(minutes=n) for n in (15, 120, 480, 1440))
"""Between two looks at a closed link; it is seldom paid, and most often soon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """Money that comes to a payment: from the bank, or by a reallocation from elsewhere."""

    receipt: Receipt
    amount: int  # minor units; of the receipt, what comes to this payment
    verdict: Verdict
    reallocation: Reallocation | None = None
    reason: str | None = None


async def record_transfer(
    session: Session,
    payment: Payment,
    attempt: PaymentAttempt,
    transfer: Transfer,
    *,
    latest: PaymentAttempt,
    actor: Actor,
    now: datetime,
) -> Receipt | None:
    """Record a transfer to a payment that the caller has locked; None when it is on record already.

    It came over the link `attempt`; `latest` is the payment's newest, and most often the same.
    A report that contradicts what is on record (same link and bank reference, another amount or
    time) changes no amount: it is raised as an exception for a person to look at.
    """
    known = await payments.list_receipts_of_transfer(
        session,
        provider=payment.provider,
        provider_reference=transfer.provider_reference,
        bank_reference=transfer.bank_reference,
    )
    if any(_is_same(receipt, transfer) for receipt in known):
        return None
    if known:
        await _raise_mismatch(session, payment, attempt, transfer, known[0], actor=actor, now=now)
        return None
    if payment.is_reserved:
        # The money overtook the answer that tells of the link: so the link is there.
        if attempt.state == payments.ATTEMPT_OPENING:
            attempt.state = payments.ATTEMPT_OPEN
        await announce_created(session, payment, attempt, actor=actor, now=now)
    verdict = judge(
        status=PaymentStatus(payment.status),
        asked=payment.amount,
        applied=payment.amount_applied,
        amount=transfer.money.amount,
    )
    receipt = _receipt(transfer, payment.provider, verdict, payment_id=payment.id, now=now)
    await payments.add(session, receipt)
    tell(session, _received(receipt))
    credited = Credit(receipt=receipt, amount=receipt.amount, verdict=verdict)
    await credit(session, payment, attempt, credited, latest=latest, actor=actor, now=now)
    return receipt


async def record_unmatched(
    session: Session, provider: str, transfer: Transfer, *, now: datetime
) -> Receipt | None:
    """Record a transfer that belongs to no payment of ours; None when it is on record already."""
    known = await payments.list_receipts_of_transfer(
        session,
        provider=provider,
        provider_reference=transfer.provider_reference,
        bank_reference=transfer.bank_reference,
    )
    if any(_is_same(receipt, transfer) for receipt in known):
        return None
    verdict = Verdict(0, Disposition.UNMATCHED, ExceptionCode.UNMATCHED, settles=False)
    receipt = _receipt(transfer, provider, verdict, payment_id=None, now=now)
    await payments.add(session, receipt)
    tell(session, _received(receipt))
    await raise_exception(
        session,
        None,
        ExceptionCode.UNMATCHED,
        amount=receipt.amount,
        held=receipt.amount,
        receipt=receipt,
        now=now,
    )
    return receipt


def _received(receipt: Receipt) -> MoneyReceived:
    return MoneyReceived(
        receipt_id=receipt.id,
        payment_id=receipt.payment_id,
        amount=receipt.amount,
        currency=receipt.currency,
        disposition=receipt.disposition,
    )


def _is_same(receipt: Receipt, transfer: Transfer) -> bool:
    return receipt.amount == transfer.money.amount and receipt.occurred_at == transfer.occurred_at


def _receipt(
    transfer: Transfer, provider: str, verdict: Verdict, *, payment_id: str | None, now: datetime
) -> Receipt:
    payer = transfer.payer
    return Receipt(
        id=new_id("rcp", now),
        payment_id=payment_id,
        provider=provider,
        order_code=transfer.order_code,
        provider_reference=transfer.provider_reference,
        bank_reference=transfer.bank_reference,
        amount=transfer.money.amount,
        amount_applied=verdict.amount_applied,
        currency=transfer.money.currency,
        disposition=verdict.disposition,
        occurred_at=transfer.occurred_at,
        recorded_at=now,
        payer_bank_id=payer.bank_id if payer else None,
        payer_bank_bin=payer.bank_bin if payer else None,
        payer_account_number=_masked(payer.account_number if payer else None),
        payer_account_name=_masked(payer.account_name if payer else None),
    )


def _masked(text: str | None) -> Masked | None:
    return None if text is None else Masked(text)


async def credit(
    session: Session,
    payment: Payment,
    attempt: PaymentAttempt,
    credited: Credit,
    *,
    latest: PaymentAttempt,
    actor: Actor,
    now: datetime,
) -> None:
    """Count money for a payment that the caller has locked, and tell what it changes."""
    verdict = credited.verdict
    from_status = payment.status
    payment.amount_received += credited.amount
    payment.amount_applied += verdict.amount_applied
    if verdict.settles:
        # What is read here does not depend on what is changed: so each row is written once, below.
        with session.no_autoflush:
            await _settle(session, payment, attempt, credited, latest=latest, actor=actor, now=now)
    exception = await _raise(session, payment, credited, now=now)
    change = Change(
        event_type=_event_type(verdict),
        actor=actor,
        from_status=from_status,
        amount=credited.amount,
        reason=credited.reason or (exception.code if exception else None),
        # The receipt of moved money tells how it was judged elsewhere.
        receipt=None if credited.reallocation else credited.receipt,
        exception=exception,
        reallocation=credited.reallocation,
    )
    await announce(session, payment, attempt, change, now=now)


async def _settle(
    session: Session,
    payment: Payment,
    attempt: PaymentAttempt,
    credited: Credit,
    *,
    latest: PaymentAttempt,
    actor: Actor,
    now: datetime,
) -> None:
    payment.advance(PaymentStatus.PAID)
    payment.paid_at = payment.closed_at = now
    # Money from elsewhere leaves the link open: then it must be closed, the sooner the better.
    is_elsewhere = credited.reallocation is not None or attempt.id != latest.id
    payment.next_check_at = now if is_elsewhere else now + WATCH_INTERVALS[0]
    payment.checks = 0
    _close_attempts(attempt, latest, now=now)
    if payment.amount_applied > credited.verdict.amount_applied:  # a part of it came before
        await _end_underpaid(session, payment, actor=actor, now=now)


def _close_attempts(paid: PaymentAttempt, latest: PaymentAttempt, *, now: datetime) -> None:
    """Close the link that was paid, and the one that had replaced it if it was an earlier one."""
    for attempt in (paid, latest):
        if attempt.state != payments.ATTEMPT_CLOSED:
            close_attempt(attempt, now=now)


def is_watched(payment: Payment, *, now: datetime) -> bool:
    """Tell whether the provider is still asked about a payment."""
    return payment.closed_at is None or now < payment.closed_at + WATCH_CLOSED


def close_attempt(attempt: PaymentAttempt, *, now: datetime) -> None:
    """Note that a link takes no more money; late money on it becomes an exception."""
    attempt.state = payments.ATTEMPT_CLOSED
    attempt.closed_at = now


def _event_type(verdict: Verdict) -> str:
    if verdict.settles:
        return "payment.paid"
    return "payment.receipt" if verdict.amount_applied else "payment.exception"


async def _raise(
    session: Session, payment: Payment, credited: Credit, *, now: datetime
) -> MoneyException | None:
    code, rest = credited.verdict.exception, credited.amount - credited.verdict.amount_applied
    if code is None:
        return None
    underpaid = code is ExceptionCode.UNDERPAID
    return await raise_exception(
        session,
        payment,
        code,
        amount=payment.amount - payment.amount_applied if underpaid else rest,
        held=credited.amount if underpaid else rest,
        receipt=credited.receipt,
        in_time=_in_time(payment, credited.receipt) if code is ExceptionCode.LATE else None,
        now=now,
    )


def _in_time(payment: Payment, receipt: Receipt) -> bool:
    assert payment.closed_at is not None, "only a closed payment is late for money"
    return was_in_time(
        receipt.occurred_at, expires_at=payment.expires_at, closed_at=payment.closed_at
    )


async def _end_underpaid(
    session: Session, payment: Payment, *, actor: Actor, now: datetime
) -> None:
    for exception in await payments.list_open_exceptions(session, [payment.id]):
        if exception.code == ExceptionCode.UNDERPAID:
            mark_resolved(exception, Outcome.TOPPED_UP, actor=actor, now=now)


async def _raise_mismatch(
    session: Session,
    payment: Payment,
    attempt: PaymentAttempt,
    transfer: Transfer,
    contradicted: Receipt,
    *,
    actor: Actor,
    now: datetime,
) -> None:
    open_already = await payments.list_open_exceptions(session, [payment.id])
    if any(known.code == ExceptionCode.PROVIDER_MISMATCH for known in open_already):
        return
    exception = await raise_exception(
        session,
        payment,
        ExceptionCode.PROVIDER_MISMATCH,
        amount=transfer.money.amount,
        held=0,  # which report is true is not known, so no money is counted
        receipt=contradicted,
        now=now,
    )
    change = Change(
        event_type="payment.exception",
        actor=actor,
        from_status=payment.status,
        amount=exception.amount,
        reason=exception.code,
        exception=exception,
    )
    await announce(session, payment, attempt, change, now=now)
