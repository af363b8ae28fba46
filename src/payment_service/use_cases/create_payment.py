"""Create a payment: reserve it, ask the provider for a link, record the answer.

The provider is called between two transactions, never inside one. If we die in between, the order
code is on record: a retry with the same key, or the reconciliation, asks the provider what became
of it. An outcome that is not known is never a failure and never blindly repeated.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from payment_service.domain.audit import Actor
from payment_service.domain.clock import Clock
from payment_service.domain.errors import (
    OrderReferenceInUse,
    PaymentRejected,
    PaymentServiceError,
)
from payment_service.domain.idempotency import (
    Answer,
    IdempotentRequest,
    RenderError,
    StoredResponse,
)
from payment_service.domain.ids import new_id, new_order_code, new_token, new_transfer_text
from payment_service.domain.money import Currency, Money
from payment_service.domain.payment import FailureReason, PaymentStatus
from payment_service.ledger.changes import Change, announce
from payment_service.ledger.observations import EXPIRED, Verdict, close_unpaid, record_observation
from payment_service.ledger.receipts import close_attempt
from payment_service.providers.provider import (
    Checkout,
    CheckoutRequest,
    CheckoutState,
    HeldBack,
    Operation,
    OutcomeUnknown,
    PaymentProvider,
    ProviderError,
    ProviderPayment,
    RequestNotSent,
    RequestRejected,
    UnknownReference,
)
from payment_service.storage import idempotency, payments
from payment_service.storage.database import Database, Session
from payment_service.storage.idempotency import Claim
from payment_service.storage.models import Payment, PaymentAttempt

DEFAULT_EXPIRY = timedelta(minutes=15)
FIRST_CHECK = timedelta(seconds=30)  # the scheduler looks after what a dead request left behind
LINKS_MAX = 3  # links that one request may make for a payment

RenderPayment = Callable[[Payment, PaymentAttempt], StoredResponse]


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
        HeldBack: The provider is left alone for now; of a new request nothing is kept.
        ProviderError: Nothing is decided; the same key goes on where this request stopped.
        IdempotencyKeyReused, IdempotencyInProgress: See there.
    """
    creation = _Creation(database, provider, clock, command, render, render_error)
    await creation.check_ready()
    reserved = await database.transact("create_payment.reserve", creation.reserve)
    if isinstance(reserved, Answer):
        return reserved
    try:
        return await creation.open_link(reserved)
    except ProviderError:
        await database.transact(
            "create_payment.release",
            lambda session: idempotency.release(session, reserved.claim, now=clock()),
        )
        raise


class _Creation:
    """One run of the use case: its collaborators, and its steps in the order they happen."""

    def __init__(
        self,
        database: Database,
        provider: PaymentProvider,
        clock: Clock,
        command: CreatePayment,
        render: RenderPayment,
        render_error: RenderError,
    ) -> None:
        self._database = database
        self._provider = provider
        self._clock = clock
        self._command = command
        self._render = render
        self._render_error = render_error

    async def check_ready(self) -> None:
        """Refuse what is new while the provider is left alone: it would spend an order code.

        What is known by its key goes on: the answer may be there, or a link to be looked up.
        """
        try:
            self._provider.check_ready(Operation.CREATE)
        except HeldBack:
            request = self._command.request
            if not await self._database.read(lambda each: idempotency.is_known(each, request)):
                raise

    async def reserve(self, session: Session) -> _Reserved | Answer:
        """Claim the key and put the payment on record, or find what is there already."""
        now = self._clock()
        claim = await idempotency.claim(
            session, self._command.request, resource_id=new_id("pay", now), now=now
        )
        if isinstance(claim, StoredResponse):
            return Answer(claim, replayed=True)
        if not claim.is_new:
            payment = await payments.lock_payment(session, claim.resource_id)
            attempt = await payments.get_latest_attempt(session, payment.id)
            return _Reserved(claim, payment, attempt)
        try:
            await self._check_order_reference(session)
        except PaymentServiceError as refusal:
            return await self._answer(session, claim, self._render_error(refusal))
        payment = self._new_payment(claim.resource_id, now)
        attempt = self._new_attempt(payment, number=1, now=now)
        await payments.add(session, payment)
        await payments.add(session, attempt)
        return _Reserved(claim, payment, attempt)

    async def open_link(self, reserved: _Reserved) -> Answer:
        """Get a link that can be paid; a link that may exist already is found out first."""
        asked_before = not reserved.claim.is_new
        for _ in range(LINKS_MAX):
            if reserved.payment.status != PaymentStatus.PENDING or (
                reserved.attempt.state == payments.ATTEMPT_OPEN
            ):
                return await self._record(reserved, None)
            if asked_before:
                found = await self._find(reserved.attempt)
                if found is not None:
                    reserved = await self._settle_found(reserved, found)
                    asked_before = False
                    continue
            try:
                return await self._record(reserved, await self._call(reserved))
            except OutcomeUnknown:
                if asked_before:
                    raise
                asked_before = True
            except RequestNotSent as silence:
                if not asked_before:
                    raise
                raise _may_have_acted(silence) from silence
            except RequestRejected as refusal:
                return await self._record_refusal(reserved, refusal)
        raise OutcomeUnknown("the provider's links for this payment could not be settled")

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

    async def _find(self, attempt: PaymentAttempt) -> ProviderPayment | None:
        try:
            return await self._provider.get_payment(attempt.order_code)
        except UnknownReference:
            # Nothing arrived. If an earlier request still does, the provider refuses the second
            # use of the order code: its uniqueness is the lock.
            return None
        except RequestNotSent as silence:
            raise _may_have_acted(silence) from silence

    async def _settle_found(self, reserved: _Reserved, found: ProviderPayment) -> _Reserved:
        """Decide about a link that an earlier try made.

        Its QR code is lost (the provider does not tell it again), so an unpaid link is closed and
        another is made; nobody has seen it. A link with money on it is adopted.
        """
        # Another amount means another environment uses the channel: never touch that link.
        foreign = found.amount != reserved.payment.amount
        if found.state is CheckoutState.OPEN and found.amount_paid == 0 and not foreign:
            found = await self._provider.cancel_payment(
                reserved.attempt.order_code, "replaced: the QR code was lost"
            )

        async def record(session: Session) -> _Reserved:
            now = self._clock()
            payment = await payments.lock_payment(session, reserved.payment.id)
            attempt = await payments.get_latest_attempt(session, payment.id)
            if not foreign and (found.amount_paid > 0 or found.state is CheckoutState.OPEN):
                attempt.state = payments.ATTEMPT_OPEN
                await record_observation(
                    session,
                    payment,
                    attempt,
                    found,
                    when_closed=EXPIRED,
                    actor=self._command.actor,
                    now=now,
                )
                return _Reserved(reserved.claim, payment, attempt)
            close_attempt(attempt, now=now)
            await session.flush()  # the next link may only live once this one is closed
            following = self._new_attempt(payment, number=attempt.number + 1, now=now)
            await payments.add(session, following)
            return _Reserved(reserved.claim, payment, following)

        return await self._database.transact("create_payment.settle_found", record)

    async def _record(self, reserved: _Reserved, checkout: Checkout | None) -> Answer:
        async def record(session: Session) -> Answer:
            now = self._clock()
            payment = await payments.lock_payment(session, reserved.payment.id)
            attempt = await payments.get_latest_attempt(session, payment.id)
            if checkout is not None:
                attempt.provider_reference = checkout.provider_reference
                attempt.checkout_url = checkout.checkout_url
                attempt.qr_code = checkout.qr_code
                # A webhook may have overtaken the answer; the state that it set stands.
                if attempt.state == payments.ATTEMPT_OPENING:
                    attempt.state = payments.ATTEMPT_OPEN
            if payment.status == PaymentStatus.PENDING and payment.version == 0:
                await announce(session, payment, attempt, self._created(payment), now=now)
            return await self._answer(session, reserved.claim, self._render(payment, attempt))

        return await self._database.transact("create_payment.record", record)

    async def _record_refusal(self, reserved: _Reserved, refusal: RequestRejected) -> Answer:
        error = PaymentRejected("The provider refused the payment.", refusal.provider_code)

        async def record(session: Session) -> Answer:
            now = self._clock()
            payment = await payments.lock_payment(session, reserved.payment.id)
            attempt = await payments.get_latest_attempt(session, payment.id)
            await close_unpaid(
                session,
                payment,
                attempt,
                Verdict(PaymentStatus.FAILED, FailureReason.REJECTED),
                actor=self._command.actor,
                now=now,
            )
            return await self._answer(session, reserved.claim, self._render_error(error))

        return await self._database.transact("create_payment.record_refusal", record)

    async def _check_order_reference(self, session: Session) -> None:
        live = await payments.find_live_by_order(
            session, self._command.request.tenant_id, self._command.order_reference
        )
        if live is not None:
            raise OrderReferenceInUse(live.id)

    async def _answer(self, session: Session, claim: Claim, response: StoredResponse) -> Answer:
        await idempotency.complete(session, claim, response, now=self._clock())
        return Answer(response, replayed=False)

    def _created(self, payment: Payment) -> Change:
        return Change(
            event_type="payment.created", actor=self._command.actor, amount=payment.amount
        )

    def _new_payment(self, payment_id: str, now: datetime) -> Payment:
        command = self._command
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
            provider=self._provider.name,
            created_at=now,
            updated_at=now,
            expires_at=expires_at,
            next_check_at=now + FIRST_CHECK,
            checks=0,
        )

    def _new_attempt(self, payment: Payment, *, number: int, now: datetime) -> PaymentAttempt:
        return PaymentAttempt(
            id=new_id("att", now),
            payment_id=payment.id,
            number=number,
            order_code=new_order_code(now),
            state=payments.ATTEMPT_OPENING,
            transfer_text=new_transfer_text(),
            qr_token=new_token(),
            created_at=now,
        )


def _may_have_acted(silence: RequestNotSent) -> OutcomeUnknown:
    """Answer for an earlier request for the same link: that one was sent."""
    return OutcomeUnknown(
        "the provider cannot be asked what became of an earlier request",
        retry_after_seconds=silence.retry_after_seconds,
    )
