"""Pay a refund out, or ask what became of it. Run by the scheduler until the refund is final.

The payout's reference and idempotency key are derived from the refund and stored before the call,
so a crash at any step is followed by the same request, never by a second payout. Of all that is
sent under one name the provider fulfils one; another name is taken, and a refund ended, only when
nothing sent under the last one can still be fulfilled (docs/decisions/0014).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from payment_service.domain.audit import Actor, ActorKind
from payment_service.domain.clock import Clock
from payment_service.domain.money import Currency, Money
from payment_service.domain.refund import RefundFailureReason, RefundPendingReason, RefundStatus
from payment_service.ledger import refunds as ledger
from payment_service.providers.provider import (
    InsufficientFunds,
    InvalidDestination,
    OutcomeUnknown,
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
UNDER_WAY = timedelta(minutes=15)  # after that a request has arrived, or never will

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
class _Look:
    """One look at a refund, on record before it is taken."""

    number: int  # whoever has a later one knows more
    refund: Refund  # as it was then
    is_told: bool  # the provider has told of this payout: it is asked about, never sent again
    sent_at: datetime | None  # by an earlier look, under the same name
    began_at: datetime

    @property
    def request(self) -> RefundRequest:
        """What is sent: after the look is on record, for an account may not open."""
        return _request(self.refund)

    @property
    def is_first(self) -> bool:
        """Nobody else has sent anything under this name."""
        return self.sent_at is None

    @property
    def is_alone(self) -> bool:
        """Nothing else that was sent under this name is still under way."""
        return self.sent_at is None or self.began_at - self.sent_at >= UNDER_WAY


async def pay_out_refund(
    database: Database, provider: PaymentProvider, clock: Clock, refund_id: str
) -> None:
    """Take a due refund one step on.

    Raises:
        ProviderError: Nothing was learnt; the refund is due again later.
    """

    async def take(session: Session) -> _Look | None:
        now = clock()
        _, refund = await _lock(session, refund_id)
        if refund.next_check_at is None or refund.next_check_at > now:
            return None
        if _is_watched_long_enough(refund, clock):
            refund.next_check_at = None
            return None
        refund.next_check_at = now + INTERVALS[min(refund.checks, len(INTERVALS) - 1)]
        refund.checks += 1
        return _begin(refund, now)

    look = await database.transact("pay_out_refund.take", take)
    if look is None:
        return
    try:
        seen: ProviderRefund | RequestRejected = await _find_or_send(provider, look)
    except RequestRejected as refusal:
        seen = refusal

    async def record(session: Session) -> None:
        payment, refund = await _lock(session, refund_id)
        if refund.checks != look.number:
            return  # somebody has looked meanwhile, and we may be late with what we know
        if isinstance(seen, RequestRejected):
            await _record_refusal(session, payment, refund, look, seen, clock)
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


def _begin(refund: Refund, now: datetime) -> _Look:
    look = _Look(
        number=refund.checks,
        refund=refund,
        is_told=refund.provider_reference is not None,
        sent_at=refund.payout_sent_at,
        began_at=now,
    )
    refund.payout_sent_at = now  # before it is: whoever looks next must reckon with it
    return look


def _request(refund: Refund) -> RefundRequest:
    return RefundRequest(
        reference=refund.payout_reference,
        idempotency_key=refund.payout_reference,
        money=Money(refund.amount, Currency(refund.currency)),
        bank_bin=refund.bank_bin,
        account_number=refund.account_number.reveal(),
        text=f"REFUND {refund.id[-8:].upper()}",
    )


async def _find_or_send(provider: PaymentProvider, look: _Look) -> ProviderRefund:
    request = look.request
    if not look.is_first:
        found = await provider.find_refund(request.reference)
        if found is not None:
            return found
        if look.is_told:
            # It may have forgotten the key, too: sent again, it would be paid again.
            raise OutcomeUnknown("the provider does not find a payout that it told of")
    return await provider.refund(request)


async def _record_refusal(
    session: Session,
    payment: Payment,
    refund: Refund,
    look: _Look,
    refusal: RequestRejected,
    clock: Clock,
) -> None:
    """Record that the provider refused a request; an earlier one may still be on its way to it."""
    if isinstance(refusal, InsufficientFunds):
        if look.is_first:
            # Nothing else was sent under this name, so nothing is paid under it any more; and the
            # provider may remember the refusal.
            refund.payout_number += 1
            refund.payout_sent_at = None
        await ledger.keep_pending(
            session,
            payment,
            refund,
            RefundPendingReason.INSUFFICIENT_FUNDS,
            actor=ACTOR,
            now=clock(),
        )
        return
    if not look.is_alone:
        return  # it is sent again, until a refusal is the last word
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
