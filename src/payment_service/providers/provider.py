"""What the service asks of a payment provider: one small Protocol, its values and its errors.

Every trouble of a provider answers one question: did it act?

ProviderError
├── RequestNotSent      no: it never heard of it (refused connection); safe to repeat
│   └── HeldBack            we did not even try: open circuit, pause, no time left
├── RequestRejected     no: it heard and definitely refused
│   └── UnknownReference    it knows no such payment or payout
├── ProviderMisconfigured   no: it refused our credentials or signature; ours to repair
└── OutcomeUnknown      perhaps: no answer, or one that tells nothing; ask, never repeat blindly
    ├── AlreadyExists       our name for it is taken: an earlier try has landed
    ├── ProviderThrottled   it asks for a pause
    └── ProviderFailing     it is not well: broken connection, error of its own
        └── ProviderTimeout     no answer in time
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from payment_service.domain.money import Money

PROVIDER_CODE_MAX = 64  # as long as clients may see one


class Operation(StrEnum):
    """What a provider is called for. Each fails and recovers on its own: see `circuit_breaker`."""

    CREATE = "create"
    GET = "get"
    CANCEL = "cancel"
    REFUND = "refund"
    FIND_REFUND = "find_refund"
    REGISTER_WEBHOOK = "register_webhook"


class ProviderError(Exception):
    """The message names no secret, no payload and no person.

    Args:
        message: A full thought.
        provider_code: What the provider said; clients are shown `PROVIDER_CODE_MAX` characters.
        retry_after_seconds: When it is worth another try, as far as it is known.
    """

    def __init__(
        self, message: str, *, provider_code: str = "", retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.provider_code = provider_code[:PROVIDER_CODE_MAX]
        self.retry_after_seconds = retry_after_seconds


class RequestNotSent(ProviderError):
    """The provider never heard of the request."""


class HeldBack(RequestNotSent):
    """We did not send the request, for the provider's good or for want of time."""


class RequestRejected(ProviderError):
    """The provider definitely refused the request."""


class UnknownReference(RequestRejected):
    """The provider knows no such payment or payout."""


class InsufficientFunds(RequestRejected):
    """The payout wallet holds too little; the same payout may succeed later."""


class InvalidDestination(RequestRejected):
    """The account cannot be paid."""


class ProviderMisconfigured(ProviderError):
    """The provider refused our credentials, signature or address."""


class OutcomeUnknown(ProviderError):
    """The provider may have acted; find out by asking."""

    @classmethod
    def after(cls, silence: RequestNotSent) -> "OutcomeUnknown":
        """Say it of an earlier request, when the question about it could not be sent."""
        return cls(
            "the provider cannot be asked what became of an earlier request",
            retry_after_seconds=silence.retry_after_seconds,
        )


class AlreadyExists(OutcomeUnknown):
    """Our name for it is taken: by an earlier try of ours, or by somebody else on the channel."""


class ProviderThrottled(OutcomeUnknown):
    """The provider asks to be left alone for a while; probably it did not act."""


class ProviderFailing(OutcomeUnknown):
    """The provider is not well, whatever was asked: no usable answer, or an error of its own."""


class ProviderTimeout(ProviderFailing):
    """The provider did not answer in time."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can do."""

    refunds: bool
    native_qr: bool  # `Checkout.qr_code` is filled
    payouts: bool = True  # refunds can go to any bank account, not only back to who paid


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutRequest:
    """A payment link to be made."""

    order_code: int  # our name for it, unique at the provider for ever
    money: Money
    transfer_text: str  # at most nine characters, ASCII letters and digits
    return_url: str
    cancel_url: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """A payment link that can be paid."""

    provider_reference: str  # the provider's name for it
    checkout_url: str
    qr_code: str | None  # the text of the QR code


class CheckoutState(StrEnum):
    """What the provider says of a payment link.

    DECLINED, INVALID_CARD: it is closed, and the payer's last try was refused for that. While it
    can be tried again it is OPEN. UNRECOGNISED: a word we do not know, ask again.
    """

    OPEN = "open"
    PAID = "paid"
    CANCELED = "canceled"
    EXPIRED = "expired"
    FAILED = "failed"
    DECLINED = "declined"
    INVALID_CARD = "invalid_card"
    UNRECOGNISED = "unrecognised"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payer:
    """The account that paid, as far as the provider tells.

    Where the provider gives back to who paid, and to nobody else, `account_number` is its own name
    for that, and ends in the digits that the payer knows.
    """

    bank_id: str | None  # as the provider writes it; not always a NAPAS number
    bank_bin: str | None  # the six-digit NAPAS number, when it is one
    account_number: str | None
    account_name: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Money that reached a payment link at once: a bank transfer, or the charge of a card."""

    order_code: int
    provider_reference: str
    bank_reference: str
    money: Money
    occurred_at: datetime  # UTC; the bank's time, to the second
    payer: Payer | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderPayment:
    """A payment link as the provider sees it now."""

    order_code: int
    provider_reference: str
    state: CheckoutState
    amount: int  # minor units, asked
    amount_paid: int  # minor units
    transfers: tuple[Transfer, ...]


class WebhookKind(StrEnum):
    """What a webhook is for.

    `transfer` reports money. `news` says that something has changed, and moves no money: the
    provider is asked what. `ping` is nothing to us, such as the sample sent when the webhook URL is
    registered.
    """

    TRANSFER = "transfer"
    NEWS = "news"
    PING = "ping"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedWebhook:
    """A webhook whose signature is right: enough to store it, nothing of what it means."""

    event_id: str  # equal for repeated deliveries of one report; at most 128 characters
    key: str  # what orders it: equal for all webhooks of one payment; at most 64 characters
    schema_version: str  # the file in webhook-schemas/ that describes it, for example "v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookReport:
    """What a stored webhook says."""

    kind: WebhookKind
    transfer: Transfer | None
    is_ambiguous: bool = False  # the signature fits other contents, too: ask, do not believe
    order_code: int | None = None  # of a payment that there are news of
    refund_reference: str | None = None  # our name for the payout that there are news of
    reason: str | None = None  # for support, where nothing is applied; names no person


class UnreadableWebhook(Exception):
    """A signed webhook that no schema version can read; kept for an operator, never dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundRequest:
    """Money to be paid back."""

    reference: str  # our name for this try, unique for ever; ASCII letters, digits, '-', '_'
    idempotency_key: str
    money: Money
    bank_bin: str | None  # six digits; None for what `Payer.account_number` told without a bank
    account_number: str = field(repr=False)
    text: str  # on the bank statement; ASCII letters, digits, space


class PayoutState(StrEnum):
    """What the provider says of a payout."""

    PROCESSING = "processing"
    AWAITING_APPROVAL = "awaiting_approval"
    ON_HOLD = "on_hold"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    RETURNED = "returned"  # succeeded, then the bank sent it back
    UNRECOGNISED = "unrecognised"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRefund:
    """A payout as the provider sees it now."""

    provider_reference: str
    reference: str
    state: PayoutState
    amount: int  # minor units


class PaymentProvider(Protocol):
    """A payment provider. Calls raise `ProviderError` and end before the `deadline`."""

    @property
    def name(self) -> str:
        """The name in settings, tables, metrics and the contract."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do with the present settings."""

    def check_ready(self, operation: Operation) -> None:
        """Return if a call now has a chance to be sent; for those who would prepare it in vain.

        Raises:
            HeldBack: It would not be; says when to come back.
        """

    async def create_payment(self, request: CheckoutRequest) -> Checkout:
        """Make a payment link.

        Raises:
            AlreadyExists: The order code is in use.
        """

    async def get_payment(self, order_code: int) -> ProviderPayment:
        """Ask about a payment link.

        Raises:
            UnknownReference: There is none.
        """

    async def cancel_payment(self, order_code: int, reason: str) -> ProviderPayment:
        """Close a payment link and tell its state afterwards, which may be paid.

        Raises:
            UnknownReference: There is none.
        """

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> VerifiedWebhook:
        """Check that the body comes from the provider.

        Raises:
            WebhookSignatureInvalid: It does not.
        """

    def parse_webhook(self, body: bytes, schema_version: str) -> WebhookReport:
        """Read a stored webhook, of any version that was ever stored.

        Raises:
            UnreadableWebhook: No version can read it.
        """

    async def refund(self, request: RefundRequest) -> ProviderRefund:
        """Pay money back. The same idempotency key never pays twice.

        Raises:
            InsufficientFunds, InvalidDestination, RequestRejected: It definitely did not.
        """

    async def find_refund(self, reference: str) -> ProviderRefund | None:
        """Ask about a payout by our name for it; None when there is none."""

    async def register_webhook(self, url: str) -> None:
        """Tell the provider where to send webhooks; it sends a ping there before it answers.

        Raises:
            RequestRejected: The provider could not reach the URL.
        """
