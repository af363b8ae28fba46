"""Create a payment: reserve it, ask the provider for a link, record the answer.

The provider is called between two transactions, never inside one. If we die in between, the order
code is on record: a retry with the same key, or the scheduler when none comes, takes the claim over
and asks the provider what became of it. An outcome that is not known is never a failure and never
blindly repeated.

Until its link is there a payment is reserved: it belongs to whoever holds the claim, and every step
of an owner proves that it still does. One that was taken over writes nothing any more.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from payment_service.domain.audit import Actor, ActorKind
from payment_service.domain.clock import Clock
from payment_service.domain.errors import (
    ConcurrentUpdate,
    IdempotencyInProgress,
    OrderReferenceInUse,
    PaymentRejected,
    PaymentServiceError,
    StorageUnavailable,
)
from payment_service.domain.idempotency import (
    Answer,
    IdempotentRequest,
    RenderError,
    StoredResponse,
)
from payment_service.domain.ids import new_id
from payment_service.domain.money import Currency, Money
from payment_service.domain.payment import PaymentStatus
from payment_service.ledger.links import is_foreign, new_attempt, open_link, settle_link
from payment_service.ledger.observations import EXPIRED, REJECTED, Verdict, close_unpaid
from payment_service.providers.provider import (
    AlreadyExists,
    Checkout,
    CheckoutRequest,
    CheckoutState,
    HeldBack,
    Operation,
    OutcomeUnknown,
    PaymentProvider,
    ProviderPayment,
    RequestNotSent,
    RequestRejected,
    UnknownReference,
)
from payment_service.storage import idempotency, payments
from payment_service.storage.database import Database, Session
from payment_service.storage.idempotency import Claim
from payment_service.storage.models import MoneyException, Payment, PaymentAttempt

OPERATION = "createPayment"
COMPLETER = Actor(ActorKind.JOB, "creations")
DEFAULT_EXPIRY = timedelta(minutes=15)
STEPS_MAX = 4  # links that one owner may find or make

RenderPayment = Callable[[Payment, PaymentAttempt, Sequence[MoneyException]], StoredResponse]


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatePayment:
    """What the merchant asks for."""

    request: IdempotentRequest
    actor: Actor
    money: Money
    order_reference: str
    description: str | None
    return_url: str
    cancel_url: str
    expires_in: timedelta | None
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Reserved:
    """A payment on record, the link to be made for it, and the right to answer."""

    claim: Claim
    payment: Payment
    attempt: PaymentAttempt
    is_fresh: bool = False  # as this process has just written it: it need not be read

    @property
    def is_decided(self) -> bool:
        """There is nothing to find out: the link is there, or no more wanted."""
        is_open = self.attempt.state == payments.ATTEMPT_OPEN
        return is_open or self.payment.status != PaymentStatus.PENDING


async def create_payment(
    database: Database,
    provider: PaymentProvider,
    clock: Clock,
    command: CreatePayment,
    *,
    render: RenderPayment,
    render_error: RenderError,
) -> Answer:
    """Create a payment, or return the answer that the same request got before.

    Raises:
        ProviderError: Nothing is decided; the same key goes on where this request stopped.
        IdempotencyKeyReused, IdempotencyInProgress: See there.
    """
    await _check_ready(database, provider, command.request)
    looks = False  # nearly every key and order is new: only who collides looks first

    async def reserve(session: Session) -> _Reserved | Answer:
        nonlocal looks
        first, looks = not looks, True
        now = clock()
        claim = await idempotency.claim(
            session,
            command.request,
            resource_id=new_id("pay", now),
            now=now,
            hold=payments.lock_payment,
            look=not first,
        )
        if isinstance(claim, StoredResponse):
            return Answer(claim, replayed=True)
        if not claim.is_new:
            return await _load(session, claim)
        if not first:
            order = command.order_reference
            live = await payments.find_live_by_order(session, claim.tenant_id, order)
            if live is not None:
                response = render_error(OrderReferenceInUse(live.id))
                await idempotency.complete(session, claim, response, now=now)
                return Answer(response, replayed=False)
        payment = _new_payment(command, provider.name, claim.resource_id, now)
        attempt = new_attempt(payment, number=1, now=now)
        await payments.reserve(session, payment, attempt)
        return _Reserved(claim, payment, attempt, is_fresh=True)

    reserved = await database.transact("create_payment.reserve", reserve)
    if isinstance(reserved, Answer):
        return reserved
    creation = _Creation(database, provider, clock, command.actor, render, render_error)
    return await creation.run(reserved)


async def complete_payment(
    database: Database,
    provider: PaymentProvider,
    clock: Clock,
    payment_id: str,
    *,
    render: RenderPayment,
    render_error: RenderError,
) -> None:
    """Finish what a request left behind that died, or got no answer and did not come back.

    Its client, if it ever repeats the request, gets the answer that is stored here.

    Raises:
        ProviderError: Nothing is decided; the payment is due again later.
    """

    async def take_up(session: Session) -> _Reserved | None:
        await payments.lock_payment(session, payment_id)
        claim = await idempotency.take_up_abandoned(
            session, OPERATION, resource_id=payment_id, now=clock()
        )
        return None if claim is None else await _load(session, claim)

    reserved = await database.transact("complete_payment.take_up", take_up)
    if reserved is None:
        return
    creation = _Creation(database, provider, clock, COMPLETER, render, render_error)
    with contextlib.suppress(IdempotencyInProgress):  # the client came back and goes on itself
        await creation.run(reserved)


class _Creation:
    """One owner's run: its collaborators, and its steps in the order they happen."""

    def __init__(
        self,
        database: Database,
        provider: PaymentProvider,
        clock: Clock,
        actor: Actor,
        render: RenderPayment,
        render_error: RenderError,
    ) -> None:
        self._database = database
        self._provider = provider
        self._clock = clock
        self._actor = actor
        self._render = render
        self._render_error = render_error

    async def run(self, reserved: _Reserved) -> Answer:
        """Bring the payment to its answer, or give the claim up."""
        try:
            return await self._decide(reserved)
        except Exception:
            await self._release(reserved.claim)
            raise

    async def _decide(self, reserved: _Reserved) -> Answer:
        """Get a link that can be paid; a link that may exist already is found out first."""
        may_exist = not reserved.claim.is_new
        for _ in range(STEPS_MAX):
            if reserved.is_decided:
                return await self._record(reserved, None)
            found = await self._find(reserved) if may_exist else None
            if found is not None:
                reserved, may_exist = await self._replace(reserved, found), False
                continue
            try:
                return await self._open(reserved, may_exist=may_exist)
            except AlreadyExists:
                may_exist = True
            except OutcomeUnknown:
                if may_exist:
                    raise
                may_exist = True
            except RequestNotSent as silence:
                if not may_exist:
                    raise
                raise OutcomeUnknown.after(silence) from silence
        raise OutcomeUnknown("the provider's links for this payment could not be settled")

    async def _open(self, reserved: _Reserved, *, may_exist: bool) -> Answer:
        """Make a link, where none was found."""
        if self._clock() >= reserved.payment.expires_at:
            return await self._record_end(reserved, EXPIRED)
        try:
            checkout = await self._call(reserved)
        except RequestRejected as refusal:
            # This try did not act. An earlier one may have, and may only now have arrived.
            if may_exist and await self._find(reserved) is not None:
                raise AlreadyExists("an earlier try has landed") from refusal
            error = PaymentRejected("The provider refused the payment.", refusal.provider_code)
            return await self._record_end(reserved, REJECTED, error)
        return await self._record(reserved, checkout)

    async def _find(self, reserved: _Reserved) -> ProviderPayment | None:
        try:
            return await self._provider.get_payment(reserved.attempt.order_code)
        except UnknownReference:
            # Nothing arrived. If an earlier request still does, the provider refuses the second
            # use of the order code: its uniqueness is the lock.
            return None
        except RequestNotSent as silence:
            raise OutcomeUnknown.after(silence) from silence

    async def _call(self, reserved: _Reserved) -> Checkout:
        payment, attempt = reserved.payment, reserved.attempt
        return await self._provider.create_payment(
            CheckoutRequest(
                order_code=attempt.order_code,
                money=Money(payment.amount, Currency(payment.currency)),
                transfer_text=attempt.transfer_text,
                return_url=payment.return_url,
                cancel_url=payment.cancel_url,
                expires_at=payment.expires_at,
            )
        )

    async def _replace(self, reserved: _Reserved, found: ProviderPayment) -> _Reserved:
        """Close a link that an earlier try made, and prepare another.

        Its QR code is lost (the provider does not tell it again) and nobody has seen it. That it is
        being closed is on record first: whoever takes over now goes on closing it, and an owner
        that was taken over does not close what the next one made.
        """
        is_unpaid = found.state is CheckoutState.OPEN and found.amount_paid == 0
        if is_unpaid and not is_foreign(reserved.payment, found):
            reserved = await self._begin_closing(reserved)
            if reserved.is_decided:
                return reserved
            found = await self._provider.cancel_payment(
                reserved.attempt.order_code, "replaced: the QR code was lost"
            )

        async def settle(session: Session) -> _Reserved:
            now = self._clock()
            held = await _load(session, reserved.claim)
            await idempotency.extend(session, reserved.claim, now=now)
            if not held.is_decided:
                await settle_link(
                    session, held.payment, held.attempt, found, actor=self._actor, now=now
                )
            return await _load(session, reserved.claim)

        return await self._database.transact("create_payment.settle_link", settle)

    async def _begin_closing(self, reserved: _Reserved) -> _Reserved:
        async def begin(session: Session) -> _Reserved:
            held = await _load(session, reserved.claim)
            await idempotency.extend(session, reserved.claim, now=self._clock())
            if not held.is_decided:
                held.attempt.state = payments.ATTEMPT_CLOSING
            return held

        return await self._database.transact("create_payment.begin_closing", begin)

    async def _record(self, reserved: _Reserved, checkout: Checkout | None) -> Answer:
        is_fresh = reserved.is_fresh

        async def record(session: Session) -> Answer:
            nonlocal is_fresh
            held = reserved if is_fresh else await _load(session, reserved.claim)
            is_fresh = False  # where this run of the unit is undone, the next one reads
            await open_link(
                session, held.payment, held.attempt, checkout, actor=self._actor, now=self._clock()
            )
            return await self._answer(session, held)

        return await self._database.transact("create_payment.record", record)

    async def _record_end(
        self, reserved: _Reserved, verdict: Verdict, error: PaymentServiceError | None = None
    ) -> Answer:
        """End a payment that the provider has no link for."""

        async def record(session: Session) -> Answer:
            held = await _load(session, reserved.claim)
            if held.payment.status != PaymentStatus.PENDING:
                return await self._answer(session, held)  # money was faster
            await close_unpaid(
                session, held.payment, held.attempt, verdict, actor=self._actor, now=self._clock()
            )
            return await self._answer(session, held, error)

        return await self._database.transact("create_payment.record_end", record)

    async def _answer(
        self, session: Session, held: _Reserved, error: PaymentServiceError | None = None
    ) -> Answer:
        raised: Sequence[MoneyException] = ()
        if held.payment.amount_received:  # the money was faster
            raised = await payments.list_open_exceptions(session, [held.payment.id])
        response = (
            self._render_error(error) if error else self._render(held.payment, held.attempt, raised)
        )
        await idempotency.complete(session, held.claim, response, now=self._clock())
        return Answer(response, replayed=False)

    async def _release(self, claim: Claim) -> None:
        # Where even this fails the lease ends by itself.
        with contextlib.suppress(StorageUnavailable, ConcurrentUpdate):
            await self._database.transact(
                "create_payment.release",
                lambda session: idempotency.release(session, claim, now=self._clock()),
            )


async def _check_ready(
    database: Database, provider: PaymentProvider, request: IdempotentRequest
) -> None:
    """Refuse what is new while the provider is left alone: it would spend an order code.

    What is known by its key goes on: the answer may be there, or a link to be looked up.
    """
    try:
        provider.check_ready(Operation.CREATE)
    except HeldBack:
        if not await database.read(lambda session: idempotency.is_known(session, request)):
            raise


async def _load(session: Session, claim: Claim) -> _Reserved:
    return _Reserved(claim, *await payments.lock_with_link(session, claim.resource_id))


def _new_payment(command: CreatePayment, provider: str, payment_id: str, now: datetime) -> Payment:
    # Providers take whole seconds: our deadline is the one that they will hold.
    expires_at = (now + (command.expires_in or DEFAULT_EXPIRY)).replace(microsecond=0)
    return Payment(
        id=payment_id,
        tenant_id=command.request.tenant_id,
        status=PaymentStatus.PENDING,
        version=0,
        amount=command.money.amount,
        currency=command.money.currency,
        amount_received=0,
        amount_applied=0,
        amount_refunded=0,
        amount_reserved=0,
        order_reference=command.order_reference,
        description=command.description,
        return_url=command.return_url,
        cancel_url=command.cancel_url,
        payment_metadata=command.metadata,
        provider=provider,
        created_at=now,
        updated_at=now,
        expires_at=expires_at,
        next_check_at=expires_at,  # until then it is its creation that is looked after
    )
