"""Resolve a money exception: give the money back, apply it to another payment, or keep it.

A decision is taken once, under the lock of the exception: of many that come together one wins, and
the others learn what it was. All of it is one transaction; a refund is paid out afterwards by
`pay_out_refund`, and if it does not reach the payer the exception is open again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from payment_service.domain.audit import Actor
from payment_service.domain.clock import Clock
from payment_service.domain.errors import (
    ExceptionActionNotAllowed,
    ExceptionAlreadyResolved,
    ExceptionTargetNotAllowed,
    PaymentServiceError,
    RefundExceedsAvailable,
)
from payment_service.domain.idempotency import (
    Answer,
    IdempotentRequest,
    RenderError,
    StoredResponse,
)
from payment_service.domain.ids import new_id
from payment_service.domain.money_exception import Action, Outcome
from payment_service.domain.payment import PaymentStatus
from payment_service.domain.receipt import ExceptionCode
from payment_service.domain.refund import BankAccount, RefundReason
from payment_service.ledger import exceptions as ledger, reallocations, refunds
from payment_service.providers.provider import PaymentProvider
from payment_service.storage import (
    exceptions,
    idempotency,
    payments,
    refunds as stored_refunds,
)
from payment_service.storage.database import Database, Session
from payment_service.storage.exceptions import Case
from payment_service.storage.models import Payment

_REASONS = {
    ExceptionCode.OVERPAID: RefundReason.OVERPAID,
    ExceptionCode.DUPLICATE_TRANSFER: RefundReason.DUPLICATE,
}


@dataclass(frozen=True, slots=True)
class Refund:
    """Give `amount` (minor units) of it back, None is all; `destination` None is who paid."""

    amount: int | None
    destination: BankAccount | None


@dataclass(frozen=True, slots=True)
class Apply:
    """Move all of it to another payment."""

    payment_id: str


@dataclass(frozen=True, slots=True)
class Keep:
    """Leave it where it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveException:
    """Which exception, what to do, and why; without a tenant it is an operator's decision."""

    exception_id: str
    tenant_id: str | None
    decision: Refund | Apply | Keep
    actor: Actor
    reason: str


async def resolve_exception(
    database: Database,
    provider: PaymentProvider,
    clock: Clock,
    command: ResolveException,
    *,
    request: IdempotentRequest,
    render: Callable[[Case], StoredResponse],
    render_error: RenderError,
) -> Answer:
    """Resolve an exception, or return the answer that the same request got before.

    Raises:
        NotFound: The tenant has no such exception, or no such payment to apply it to.
        IdempotencyKeyReused, IdempotencyInProgress: See there.
    """

    async def decide(session: Session) -> Answer:
        held = await _lock_payments(session, command)
        claim = await idempotency.claim(
            session, request, resource_id=command.exception_id, now=clock()
        )
        if isinstance(claim, StoredResponse):
            return Answer(claim, replayed=True)
        try:
            response = render(await _decide(session, provider, command, held, now=clock()))
        except PaymentServiceError as refusal:
            response = render_error(refusal)
        await idempotency.complete(session, claim, response, now=clock())
        return Answer(response, replayed=False)

    return await database.transact("resolve_exception.decide", decide)


async def resolve_exception_by_hand(
    database: Database, provider: PaymentProvider, clock: Clock, command: ResolveException
) -> Case:
    """Resolve an exception for an operator, who sees what became of it and needs no key.

    Raises:
        NotFound: There is no such exception, or no such payment.
        PaymentServiceError: It cannot be resolved so; the message says why.
    """

    async def decide(session: Session) -> Case:
        held = await _lock_payments(session, command)
        return await _decide(session, provider, command, held, now=clock())

    return await database.transact("resolve_exception.by_hand", decide)


async def _lock_payments(session: Session, command: ResolveException) -> dict[str, Payment]:
    """Hold the payments that the decision is about, before anything else."""
    exception = await exceptions.get_exception(
        session, command.exception_id, tenant_id=command.tenant_id
    )
    decision = command.decision
    target_id = decision.payment_id if isinstance(decision, Apply) else None
    ids = (exception.payment_id, target_id)
    return await payments.lock_payments(session, *ids, tenant_id=command.tenant_id)


async def _decide(
    session: Session,
    provider: PaymentProvider,
    command: ResolveException,
    held: dict[str, Payment],
    *,
    now: datetime,
) -> Case:
    exception = await exceptions.lock_exception(session, command.exception_id)
    case = await exceptions.get_case(session, exception.id)
    if exception.resolution is not None:
        raise ExceptionAlreadyResolved(
            exception.resolution, exception.resolved_by_id or exception.resolved_by
        )
    match command.decision:
        case Refund() as decision:
            _check_allowed(case, Action.REFUND)
            await _refund(session, provider, command, decision, case, now=now)
        case Apply(payment_id):
            _check_allowed(case, Action.APPLY)
            target = held[payment_id]
            _check_target(case, target)
            await reallocations.apply(
                session, case, target, actor=command.actor, reason=command.reason, now=now
            )
        case Keep():
            _check_allowed(case, Action.KEEP)
            await ledger.resolve(
                session,
                case.payment,
                exception,
                Outcome.KEPT,
                actor=command.actor,
                reason=command.reason,
                now=now,
            )
    await session.flush()
    return await exceptions.get_case(session, exception.id)


def _check_allowed(case: Case, action: Action) -> None:
    if action in case.allowed_actions:
        return
    if case.payment is None:
        why = "The money belongs to no payment yet: apply it to one first."
    elif not case.allowed_actions:
        why = "The payment is pending: the payer may complete it, or you may cancel it."
    elif case.available == 0:
        why = "There is no money left to decide about."
    else:
        why = f"Money of the kind {case.exception.code} cannot be moved to another payment."
    raise ExceptionActionNotAllowed(why, case.allowed_actions)


def _check_target(case: Case, target: Payment) -> None:
    """Refuse a payment that the money is not for; an operator may have judged so, without one."""
    if target.is_reserved:
        raise ExceptionTargetNotAllowed("That payment is still being created.", target.status)
    source = case.payment
    if source is None:
        return
    if target.id == source.id:
        raise ExceptionTargetNotAllowed("The money is there already.", target.status)
    if (target.tenant_id, target.order_reference) != (source.tenant_id, source.order_reference):
        raise ExceptionTargetNotAllowed("That payment is for another order.", target.status)
    if target.status != PaymentStatus.PENDING:
        raise ExceptionTargetNotAllowed(
            f"A payment that is {target.status} takes no more money.", target.status
        )


async def _refund(
    session: Session,
    provider: PaymentProvider,
    command: ResolveException,
    decision: Refund,
    case: Case,
    *,
    now: datetime,
) -> None:
    payment, exception = case.payment, case.exception
    assert payment is not None, "money without a payment is not refunded"
    amount = decision.amount if decision.amount is not None else case.available
    if amount > case.available:
        raise RefundExceedsAvailable(case.available)
    promise = refunds.Promise(
        refund_id=new_id("ref", now),
        amount=amount,
        reason=await _refund_reason(session, case),
        destination=decision.destination,
        transfer=case.receipt,
    )
    refund = await refunds.reserve(
        session, provider.capabilities, payment, promise, actor=command.actor, now=now
    )
    await ledger.resolve(
        session,
        payment,
        exception,
        Outcome.REFUNDED,
        refund=refund,
        actor=command.actor,
        reason=command.reason,
        now=now,
    )


async def _refund_reason(session: Session, case: Case) -> RefundReason:
    """Say why the money goes back; a refund that came back goes for its first reason again."""
    exception, payment = case.exception, case.payment
    if exception.code == ExceptionCode.REFUND_RETURNED and payment and exception.refund_id:
        returned = await stored_refunds.get_refund(
            session, payment.tenant_id, payment.id, exception.refund_id
        )
        return RefundReason(returned.reason)
    return _REASONS.get(ExceptionCode(exception.code), RefundReason.OTHER)
