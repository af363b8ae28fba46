"""A provider without a network: every state in memory, for tests and for trying the service out.

Its payer is `pay`, its bank `settle_refund`; a webhook is signed with a secret like a real one.
"""

import hashlib
import hmac
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import msgspec

from payment_service.domain.errors import WebhookSignatureInvalid
from payment_service.domain.money import Currency, Money
from payment_service.providers.notices import Notify
from payment_service.providers.provider import (
    AlreadyExists,
    Capabilities,
    Checkout,
    CheckoutRequest,
    CheckoutState,
    HeldBack,
    InsufficientFunds,
    Operation,
    Payer,
    PayoutState,
    ProviderPayment,
    ProviderRefund,
    RefundRequest,
    RequestRejected,
    Transfer,
    UnknownReference,
    UnreadableWebhook,
    VerifiedWebhook,
    WebhookKind,
    WebhookReport,
)

NAME = "fake"
SCHEMA_VERSION = "v1"
WALLET = 1_000_000_000_000  # minor units at the start
AMOUNT_MAX = 500_000_000
PAYER = Payer(
    bank_id="970422", bank_bin="970422", account_number="0123456789", account_name="NGUYEN VAN A"
)


class _Report(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a webhook."""

    order_code: int
    provider_reference: str
    bank_reference: str
    amount: int
    occurred_at: datetime


@dataclass(slots=True)
class _Link:
    request: CheckoutRequest
    state: CheckoutState = CheckoutState.OPEN
    transfers: list[Transfer] = field(default_factory=list)


class FakeProvider:
    """A payment provider in memory."""

    def __init__(self, secret: str, clock: Callable[[], datetime]) -> None:
        self._secret = secret
        self._clock = clock
        self._links: dict[int, _Link] = {}
        self._refunds: dict[str, ProviderRefund] = {}
        self._keys: dict[str, str] = {}
        self.wallet = WALLET
        self.down_seconds: dict[Operation, float] = {}  # what is held back, and for how long

    @property
    def name(self) -> str:
        """`fake`."""
        return NAME

    @property
    def capabilities(self) -> Capabilities:
        """It can do everything."""
        return Capabilities(refunds=True, native_qr=True)

    def check_ready(self, operation: Operation) -> None:
        """Refuse what is said to be down; see `PaymentProvider`."""
        seconds = self.down_seconds.get(operation)
        if seconds is not None:
            raise HeldBack("the provider is left alone for now", retry_after_seconds=seconds)

    async def create_payment(self, request: CheckoutRequest) -> Checkout:
        """Make a payment link; see `PaymentProvider`."""
        self.check_ready(Operation.CREATE)
        if request.order_code in self._links:
            raise AlreadyExists("the order code exists", provider_code="exists")
        if request.money.amount > AMOUNT_MAX:
            raise RequestRejected("the amount is too large", provider_code="amount")
        self._links[request.order_code] = _Link(request)
        reference = self._reference(request.order_code)
        return Checkout(
            provider_reference=reference,
            checkout_url=f"https://pay.example/{reference}",
            qr_code=f"FAKE-QR|{request.order_code}|{request.money.amount}",
        )

    async def get_payment(self, order_code: int) -> ProviderPayment:
        """Ask about a payment link; see `PaymentProvider`."""
        self.check_ready(Operation.GET)
        return self._look(order_code)

    async def cancel_payment(self, order_code: int, reason: str) -> ProviderPayment:
        """Close a payment link; see `PaymentProvider`."""
        self.check_ready(Operation.CANCEL)
        link = self._link(order_code)
        if link.state is CheckoutState.OPEN:
            link.state = CheckoutState.CANCELED
        return self._look(order_code)

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> VerifiedWebhook:
        """Check the header `x-fake-signature`."""
        if not hmac.compare_digest(self._sign(body), headers.get("x-fake-signature", "")):
            raise WebhookSignatureInvalid("The signature does not match.")
        digest = hashlib.sha256(body).hexdigest()
        return VerifiedWebhook(event_id=digest, key=digest[:32], schema_version=SCHEMA_VERSION)

    def parse_webhook(self, body: bytes, schema_version: str) -> WebhookReport:
        """Read a stored webhook; see `PaymentProvider`."""
        try:
            report = msgspec.json.decode(body, type=_Report)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise UnreadableWebhook("not a report") from error
        transfer = Transfer(
            order_code=report.order_code,
            provider_reference=report.provider_reference,
            bank_reference=report.bank_reference,
            money=Money(report.amount, Currency.VND),
            occurred_at=report.occurred_at,
            payer=PAYER,
        )
        return WebhookReport(kind=WebhookKind.TRANSFER, transfer=transfer)

    async def refund(self, request: RefundRequest) -> ProviderRefund:
        """Pay out; see `PaymentProvider`."""
        self.check_ready(Operation.REFUND)
        known = self._keys.get(request.idempotency_key)
        if known is not None:
            return self._refunds[known]
        if request.money.amount > self.wallet:
            raise InsufficientFunds("the wallet is empty", provider_code="balance")
        self.wallet -= request.money.amount
        refund = ProviderRefund(
            provider_reference=f"payout-{request.reference}",
            reference=request.reference,
            state=PayoutState.SUCCEEDED,
            amount=request.money.amount,
        )
        self._refunds[request.reference] = refund
        self._keys[request.idempotency_key] = request.reference
        return refund

    async def find_refund(self, reference: str) -> ProviderRefund | None:
        """Look a payout up; see `PaymentProvider`."""
        self.check_ready(Operation.FIND_REFUND)
        return self._refunds.get(reference)

    async def register_webhook(self, url: str) -> None:
        """There is nobody to tell."""

    def pay(self, order_code: int, amount: int | None = None) -> tuple[dict[str, str], bytes]:
        """Pay as a payer would; return the headers and the body of the webhook that tells of it."""
        link = self._link(order_code)
        wanted = link.request.money.amount
        transfer = Transfer(
            order_code=order_code,
            provider_reference=self._reference(order_code),
            bank_reference=f"FT{order_code}-{len(link.transfers) + 1}",
            money=Money(amount or wanted, Currency.VND),
            occurred_at=self._clock().replace(microsecond=0),
            payer=PAYER,
        )
        link.transfers.append(transfer)
        paid = sum(known.money.amount for known in link.transfers)
        if link.state is CheckoutState.OPEN and paid >= wanted:
            link.state = CheckoutState.PAID
        report = _Report(
            order_code=order_code,
            provider_reference=transfer.provider_reference,
            bank_reference=transfer.bank_reference,
            amount=transfer.money.amount,
            occurred_at=transfer.occurred_at,
        )
        body = msgspec.json.encode(report)
        return {"x-fake-signature": self._sign(body)}, body

    def settle_refund(self, reference: str, state: PayoutState) -> None:
        """Change a payout as a bank would."""
        self._refunds[reference] = replace(self._refunds[reference], state=state)

    def _look(self, order_code: int) -> ProviderPayment:
        link = self._link(order_code)
        if link.state is CheckoutState.OPEN and self._clock() >= link.request.expires_at:
            link.state = CheckoutState.EXPIRED
        return ProviderPayment(
            order_code=order_code,
            provider_reference=self._reference(order_code),
            state=link.state,
            amount=link.request.money.amount,
            amount_paid=sum(transfer.money.amount for transfer in link.transfers),
            transfers=tuple(link.transfers),
        )

    def _link(self, order_code: int) -> _Link:
        link = self._links.get(order_code)
        if link is None:
            raise UnknownReference("no such payment", provider_code="unknown")
        return link

    def _reference(self, order_code: int) -> str:
        return f"{order_code:032x}"

    def _sign(self, body: bytes) -> str:
        return hmac.new(self._secret.encode(), body, hashlib.sha256).hexdigest()


@asynccontextmanager
async def open_provider(
    environment: Mapping[str, str], _notify: Notify
) -> AsyncIterator[FakeProvider]:
    """Open the provider; FAKE_WEBHOOK_SECRET signs its webhooks."""
    yield FakeProvider(
        environment.get("FAKE_WEBHOOK_SECRET", "fake"), clock=lambda: datetime.now(UTC)
    )
