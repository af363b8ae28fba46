"""Pay a refund out, or ask what became of it. Run by the scheduler until the refund is final.

The payout's reference and idempotency key are derived from the refund and stored before the call,
so a crash at any step is followed by the same request, never by a second payout.
"""

from dataclasses import dataclass
from datetime import timedelta

from payment_service.domain.audit import Actor, ActorKind
from payment_service.domain.clock import Clock
from payment_service.domain.money import Currency, Money
from payment_service.domain.refund import RefundFailureReason, RefundPendingReason, RefundStatus
from payment_service.ledger import refunds as ledger
from payment_service.providers.provider import (
    InsufficientFunds,
    InvalidDestination,
    PaymentProvider,
    PayoutState,
    ProviderRefund,
    RefundRequest,
    RequestRejected,
)
from payment_service.storage import payments, refunds
from payment_service.storage.database import Database, Session
from payment_service.storage.models import Payment, Refund

ACTOR = Actor(ActorKind.JOB, "refunds")
INTERVALS = tuple(timedelta(seconds=n) for n in (2, 5, 15, 60, 300, 900, 3600))

_PENDING = {
    PayoutState.PROCESSING: RefundPendingReason.PROCESSING,
    PayoutState.UNRECOGNISED: RefundPendingReason.PROCESSING,
    PayoutState.AWAITING_APPROVAL: RefundPendingReason.APPROVAL,
    PayoutState.ON_HOLD: RefundPendingReason.ON_HOLD,
}
_FAILED = {
    PayoutState.FAILED: RefundFailureReason.REJECTED,
    PayoutState.CANCELED: RefundFailureReason.CANCELED,
    PayoutState.RETURNED: RefundFailureReason.RETURNED,
}


@dataclass(frozen=True, slots=True)
class _Due:
    request: RefundRequest
    was_sent: bool


async def pay_out_refund(
    database: Database, provider: PaymentProvider, clock: Clock, refund_id: str
) -> None:
    """Take a due refund one step on.

    Raises:
        ProviderError: Nothing was learnt; the refund is due again later.
    """

    async def take(session: Session) -> Refund | None:
        now = clock()
        _, refund = await _lock(session, refund_id)
        if refund.next_check_at is None or refund.next_check_at > now:
            return None
        if _is_watched_long_enough(refund, clock):
            refund.next_check_at = None
            return None
        refund.next_check_at = now + INTERVALS[min(refund.checks, len(INTERVALS) - 1)]
        refund.checks += 1
        return refund

    taken = await database.transact("pay_out_refund.take", take)
    if taken is None:
        return
    # Not before: a destination that cannot be opened is tried again at intervals, like all others.
    due = _Due(_request(taken), was_sent=taken.checks > 1)
    try:
        seen: ProviderRefund | RequestRejected = await _find_or_send(provider, due)
    except RequestRejected as refusal:
        seen = refusal

    async def record(session: Session) -> None:
        payment, refund = await _lock(session, refund_id)
        if refund.payout_reference != due.request.reference:
            return  # somebody went on meanwhile
        if isinstance(seen, RequestRejected):
            await _record_refusal(session, payment, refund, seen, clock)
        else:
            await _record_state(session, payment, refund, seen, clock)

    await database.transact("pay_out_refund.record", record)


async def _lock(session: Session, refund_id: str) -> tuple[Payment, Refund]:
    payment_id = await refunds.find_payment_id(session, refund_id)
    payment = await payments.lock_payment(session, payment_id or "")
    return payment, await refunds.lock_refund(session, refund_id)


def _is_watched_long_enough(refund: Refund, clock: Clock) -> bool:
    return (
        refund.succeeded_at is not None and clock() >= refund.succeeded_at + ledger.WATCH_SUCCEEDED
    )


def _request(refund: Refund) -> RefundRequest:
    return RefundRequest(
        reference=refund.payout_reference,
        idempotency_key=refund.payout_reference,
        money=Money(refund.amount, Currency(refund.currency)),
        bank_bin=refund.bank_bin,
        account_number=refund.account_number.reveal(),
        text=f"REFUND {refund.id[-8:].upper()}",
    )


async def _find_or_send(provider: PaymentProvider, due: _Due) -> ProviderRefund:
    if due.was_sent:
        found = await provider.find_refund(due.request.reference)
        if found is not None:
            return found
    return await provider.refund(due.request)


async def _record_refusal(
    session: Session, payment: Payment, refund: Refund, refusal: RequestRejected, clock: Clock
) -> None:
    if refund.status != RefundStatus.PENDING:
        return
    if isinstance(refusal, InsufficientFunds):
        # Definitely not paid, so the next try is a new payout.
        refund.payout_number += 1
        await ledger.keep_pending(
            session,
            payment,
            refund,
            RefundPendingReason.INSUFFICIENT_FUNDS,
            actor=ACTOR,
            now=clock(),
        )
        return
    invalid = isinstance(refusal, InvalidDestination)
    reason = RefundFailureReason.DESTINATION_INVALID if invalid else RefundFailureReason.REJECTED
    await ledger.fail(session, payment, refund, reason, actor=ACTOR, now=clock())


async def _record_state(
    session: Session, payment: Payment, refund: Refund, seen: ProviderRefund, clock: Clock
) -> None:
    refund.provider_reference = seen.provider_reference
    now = clock()
    if refund.status == RefundStatus.SUCCEEDED:
        if seen.state is PayoutState.RETURNED:
            await ledger.take_back(session, payment, refund, actor=ACTOR, now=now)
        else:
            refund.next_check_at = now + ledger.WATCH_INTERVAL
    elif refund.status == RefundStatus.PENDING:
        if seen.state is PayoutState.SUCCEEDED:
            await ledger.succeed(session, payment, refund, actor=ACTOR, now=now)
        elif seen.state in _FAILED:
            await ledger.fail(session, payment, refund, _FAILED[seen.state], actor=ACTOR, now=now)
        else:
            await ledger.keep_pending(
                session, payment, refund, _PENDING[seen.state], actor=ACTOR, now=now
            )
