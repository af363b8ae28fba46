"""Look after a payment that nobody told us about: ask the provider, and end it in time.

Webhooks get lost. Every pending payment is asked about now and then, and so is every closed one
for two days; so nothing waits for a webhook only. Run by the scheduler, within a budget of calls.

A payment may have links that were replaced because their QR code was lost. Nobody was shown them,
but they are looked at as long as the payment is: whatever money they have is its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from payment_service.domain.audit import Actor, ActorKind
from payment_service.domain.clock import Clock
from payment_service.domain.payment import PaymentStatus
from payment_service.ledger.observations import (
    CANCELED,
    EXPIRED,
    Verdict,
    record_observation,
    record_replaced,
)
from payment_service.ledger.receipts import WATCH_CLOSED, WATCH_INTERVALS
from payment_service.providers.provider import (
    CheckoutState,
    OutcomeUnknown,
    PaymentProvider,
    ProviderError,
    ProviderPayment,
    UnknownReference,
)
from payment_service.storage import payments
from payment_service.storage.database import Database, Session
from payment_service.storage.models import Payment

ACTOR = Actor(ActorKind.JOB, "payments")
PENDING_INTERVALS = tuple(timedelta(seconds=n) for n in (30, 60, 120, 300, 900, 3600))
RESERVED_INTERVAL = timedelta(minutes=1)  # it is for those who create it to decide
OVERDUE_INTERVAL = timedelta(minutes=1)  # until the provider has confirmed that the link is closed
WATCH_RETRY = timedelta(hours=1)  # when the last look at a closed link failed
WATCH_END = 2 * WATCH_CLOSED  # the last look is not repeated any more: nobody can answer it

CHECK_CALLS = 1  # to the provider, at most, of a payment with one link
OVERDUE_CALLS = 2


@dataclass(frozen=True, slots=True)
class _Due:
    order_code: int
    is_overdue: bool  # pending, and its time is up
    has_ended: bool  # its link should take no more money
    is_last: bool  # closed, and watched for long enough
    replaced: tuple[int, ...]  # the order codes of its earlier links


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the provider said of the replaced links, and the error where it did not."""

    links: tuple[ProviderPayment, ...]
    silence: ProviderError | None


async def check_payment(
    database: Database,
    provider: PaymentProvider,
    clock: Clock,
    payment_id: str,
    *,
    actor: Actor = ACTOR,
    spend: Callable[[int], None] = lambda _calls: None,
) -> None:
    """Ask about a due payment and record the answer; close it when its time is up.

    `spend` is told how many calls its replaced links take.

    Raises:
        ProviderError: Nothing was learnt; the payment is due again later.
    """

    async def take(session: Session) -> _Due | None:
        now = clock()
        payment = await payments.lock_payment(session, payment_id)
        if payment.next_check_at is None or payment.next_check_at > now:
            return None
        return await _begin(session, payment, now)

    due = await database.transact("check_payment.take", take)
    if due is None:
        return
    seen = await _ask(provider, due)
    spend(len(due.replaced))
    earlier = await _ask_replaced(provider, due)

    async def record(session: Session) -> None:
        payment = await payments.lock_payment(session, payment_id)
        attempt = await payments.get_latest_attempt(session, payment_id)
        if attempt.order_code != due.order_code:
            return  # another link was made meanwhile; its turn comes
        for link in earlier.links:
            await record_replaced(session, payment, attempt, link, actor=actor, now=clock())
        if seen is not None:
            await record_observation(
                session,
                payment,
                attempt,
                seen,
                when_closed=_verdict(due, seen),
                actor=actor,
                now=clock(),
            )
        if due.is_last and earlier.silence is None:
            payment.next_check_at = None  # only now: a look that failed is repeated

    await database.transact("check_payment.record", record)
    if earlier.silence is not None:
        raise earlier.silence


async def _begin(session: Session, payment: Payment, now: datetime) -> _Due | None:
    if payment.is_reserved:
        payment.next_check_at = now + RESERVED_INTERVAL
        return None
    payment.next_check_at = _next_check(payment, now)
    payment.checks += 1
    attempt = await payments.get_latest_attempt(session, payment.id)
    return _Due(
        order_code=attempt.order_code,
        is_overdue=payment.status == PaymentStatus.PENDING and now >= payment.expires_at,
        has_ended=payment.status != PaymentStatus.PENDING,
        is_last=payment.closed_at is not None and now >= payment.closed_at + WATCH_CLOSED,
        replaced=tuple(await payments.list_replaced_order_codes(session, attempt)),
    )


async def _ask(provider: PaymentProvider, due: _Due) -> ProviderPayment | None:
    """Ask about the link, closing it first when its time is up; None when there never was one.

    Money that was applied from elsewhere settles a payment and leaves its link open. And a payment
    that ended before it had a link may get one late, from a request that was long on its way: where
    our clock is right its time is up at the provider, too. Such a link is closed, so that nobody
    pays what is not wanted.
    """
    try:
        if due.is_overdue:
            return await provider.cancel_payment(due.order_code, "expired")
        seen = await provider.get_payment(due.order_code)
        if due.has_ended and seen.state is CheckoutState.OPEN:
            seen = await provider.cancel_payment(due.order_code, "the payment has ended")
    except UnknownReference as error:
        if due.is_last:
            return None  # it ended before it had a link, and for two days none came
        # It made the link itself. That it cannot find it now says nothing about the money on it.
        raise OutcomeUnknown("the provider does not find the link") from error
    return seen


async def _ask_replaced(provider: PaymentProvider, due: _Due) -> _Seen:
    """Ask about the links that were replaced; what is not answered holds nothing else up."""
    links: list[ProviderPayment] = []
    silence: ProviderError | None = None
    for order_code in due.replaced:
        try:
            links.append(await provider.get_payment(order_code))
        except ProviderError as error:
            silence = error
    return _Seen(tuple(links), silence)


def _verdict(due: _Due, seen: ProviderPayment) -> Verdict:
    """Say what a closed link means: cancelled before its time, it was somebody's wish.

    Of the payer at the checkout, or of a merchant whose request died before it wrote that down.
    """
    is_canceled = seen.state is CheckoutState.CANCELED and not due.is_overdue
    return CANCELED if is_canceled else EXPIRED


def _next_check(payment: Payment, now: datetime) -> datetime | None:
    if payment.closed_at is not None:
        later = now + WATCH_INTERVALS[min(payment.checks + 1, len(WATCH_INTERVALS) - 1)]
        end = payment.closed_at + WATCH_CLOSED
        if now < end:
            return min(later, end)
        return now + WATCH_RETRY if now < payment.closed_at + WATCH_END else None
    if now >= payment.expires_at:
        return now + OVERDUE_INTERVAL
    later = now + PENDING_INTERVALS[min(payment.checks, len(PENDING_INTERVALS) - 1)]
    # Never past the deadline: that is when the link must be closed.
    return min(later, payment.expires_at)
