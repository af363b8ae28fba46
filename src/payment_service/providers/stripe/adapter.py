"""Stripe behind the provider interface: a checkout page for cards, and refunds to the card.

The payer types the card at Stripe; what reaches us of it is its brand and its last four digits.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, TypeVar

from payment_service.domain.clock import system_clock
from payment_service.domain.ids import id_made_at, is_id, new_token, order_code_made_at
from payment_service.providers.exchange import Connections, connect
from payment_service.providers.guard import Guard
from payment_service.providers.notices import Notify
from payment_service.providers.provider import (
    AlreadyExists,
    Capabilities,
    Checkout,
    CheckoutRequest,
    InvalidDestination,
    Operation,
    OutcomeUnknown,
    ProviderError,
    ProviderPayment,
    ProviderRefund,
    RefundRequest,
    RequestNotSent,
    RequestRejected,
    UnknownReference,
    VerifiedWebhook,
    WebhookReport,
)
from payment_service.providers.stripe import objects, webhooks
from payment_service.providers.stripe.client import StripeClient
from payment_service.providers.stripe.search import Finder, Kind
from payment_service.providers.stripe.settings import StripeSettings

T = TypeVar("T")

NAME = "stripe"
SESSIONS = "/v1/checkout/sessions"
REFUNDS = "/v1/refunds"
ENDPOINTS = "/v1/webhook_endpoints"
EXPAND_CHARGE = {"expand[]": "payment_intent.latest_charge"}

GRACE = timedelta(minutes=31)
"""How much longer than our payment its session lives. Stripe keeps one for 30 minutes at least; we
close it when our payment's time is up. Made of nothing but the request, so that a repeated request
is the same request."""

_SESSION = Kind(
    path=SESSIONS,
    name_of=lambda entry: entry["client_reference_id"],
    made_within=timedelta(hours=24),  # Stripe keeps none for longer, so none is made later
)
_REFUND = Kind(
    path=REFUNDS,
    name_of=lambda entry: (entry["metadata"] or {}).get(objects.REFERENCE),
    made_within=timedelta(days=365),  # a refund may have to wait for money
)


class StripeProvider:
    """Checkout sessions and refunds."""

    def __init__(
        self,
        http: Connections,
        guard: Guard,
        settings: StripeSettings,
        clock: Callable[[], datetime] = system_clock,
    ) -> None:
        self._guard = guard
        self._client = StripeClient(http, settings.secret_key, guard)
        self._settings = settings
        self._clock = clock
        self._sessions = Finder(self._client, _SESSION)
        self._refunds = Finder(self._client, _REFUND)

    @property
    def name(self) -> str:
        """`stripe`."""
        return NAME

    @property
    def capabilities(self) -> Capabilities:
        """Money goes back to the card that paid, and nowhere else."""
        return Capabilities(refunds=True, native_qr=False, payouts=False)

    def check_ready(self, operation: Operation) -> None:
        """Ask the operation's circuit; see `PaymentProvider`."""
        self._guard.check_ready(operation)

    async def create_payment(self, request: CheckoutRequest) -> Checkout:
        """Make a session; see `PaymentProvider`."""
        code = str(request.order_code)
        key = f"checkout-{code}"
        form = session_form(request)
        answer = await self._client.post(Operation.CREATE, SESSIONS, form, idempotency_key=key)
        if answer.is_replay:
            raise AlreadyExists("an earlier request has made the session")
        session = answer.data
        if (session.get("client_reference_id"), session.get("amount_total")) != (
            code,
            request.money.amount,
        ):
            raise OutcomeUnknown("Stripe answered for another payment")
        self._sessions.remember(code, _text(session, "id"))
        return Checkout(
            provider_reference=objects.link_name(request.order_code),
            checkout_url=_text(session, "url"),
            qr_code=None,
        )

    async def get_payment(self, order_code: int) -> ProviderPayment:
        """Ask about a session; see `PaymentProvider`."""
        name = await self._find_session(Operation.GET, order_code)
        session = await self._client.get(Operation.GET, f"{SESSIONS}/{name}", EXPAND_CHARGE)
        seen = _read(objects.payment, session)
        if seen.order_code != order_code:
            raise OutcomeUnknown("Stripe answered for another payment")
        return seen

    async def cancel_payment(self, order_code: int, reason: str) -> ProviderPayment:
        """Close a session; see `PaymentProvider`."""
        name = await self._find_session(Operation.CANCEL, order_code)
        mark = {f"metadata[{objects.CLOSED_BECAUSE}]": reason[:500]}
        try:
            # Both may be repeated: so no key of theirs has to be remembered. Stripe calls every
            # closed session expired; the mark is what tells ours apart.
            await self._change_session(f"{SESSIONS}/{name}", mark)
            await self._change_session(f"{SESSIONS}/{name}/expire", {})
        except UnknownReference:
            raise
        except RequestRejected:
            pass  # paid or closed already: the session itself tells which
        # Read it after it was closed: what is on it now is final.
        try:
            return await self.get_payment(order_code)
        except RequestNotSent as error:
            raise OutcomeUnknown("closed at Stripe perhaps, but not looked at") from error

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> VerifiedWebhook:
        """Check that the body comes from Stripe, and lately."""
        header = headers.get(webhooks.HEADER, "")
        secrets = self._settings.webhook_secrets
        return webhooks.verify(header, body, secrets, now=self._clock())

    def parse_webhook(self, body: bytes, schema_version: str) -> WebhookReport:
        """Read a stored webhook; see `PaymentProvider`."""
        return webhooks.parse(body, schema_version)

    async def refund(self, request: RefundRequest) -> ProviderRefund:
        """Give money back to the card; see `PaymentProvider`."""
        charge = objects.charge_of(request.account_number)
        if charge is None:
            raise InvalidDestination("only what was paid by card goes back, and to that card")
        form: dict[str, str | int] = {
            "charge": charge,
            "amount": request.money.amount,
            f"metadata[{objects.REFERENCE}]": request.reference,
        }
        try:
            answer = await self._client.post(
                Operation.REFUND, REFUNDS, form, idempotency_key=request.idempotency_key
            )
            made = _read(objects.refund, answer.data)
        except UnknownReference as error:
            raise InvalidDestination("Stripe knows no such charge") from error
        except OutcomeUnknown as error:
            found = await self._find_after(error, request.reference)
            if found is None:
                raise
            return found
        if (made.reference, made.amount) != (request.reference, request.money.amount):
            raise OutcomeUnknown("Stripe answered for another refund")
        self._refunds.remember(request.reference, made.provider_reference)
        return made

    async def find_refund(self, reference: str) -> ProviderRefund | None:
        """Look a refund up by our name for it; see `PaymentProvider`."""
        refund_id = reference.rpartition("-")[0]
        if not is_id(refund_id):
            return None
        made_at = id_made_at(refund_id)
        name = await self._refunds.find(Operation.FIND_REFUND, reference, made_at)
        if name is None:
            return None
        return _read(
            objects.refund, await self._client.get(Operation.FIND_REFUND, f"{REFUNDS}/{name}")
        )

    async def register_webhook(self, url: str) -> None:
        """Have Stripe send what we want to hear to an endpoint that exists.

        Making one would answer with its secret, once, and only an operator can keep that.
        """
        operation = Operation.REGISTER_WEBHOOK
        listed = await self._client.get(operation, ENDPOINTS, {"limit": 100})
        entries = _read(lambda page: [e for e in page["data"] if e.get("url") == url], listed)
        if not entries:
            raise RequestRejected(
                "Stripe has no webhook endpoint with this address: add it in the dashboard, and "
                "keep its signing secret as STRIPE_WEBHOOK_SECRET"
            )
        form: dict[str, str | int] = {"disabled": "false"}
        form |= {f"enabled_events[{n}]": event for n, event in enumerate(webhooks.EVENTS)}
        path = f"{ENDPOINTS}/{_text(entries[0], 'id')}"
        await self._client.post(operation, path, form, idempotency_key=new_token())

    async def _find_session(self, operation: Operation, order_code: int) -> str:
        made_at = order_code_made_at(order_code)
        name = await self._sessions.find(operation, str(order_code), made_at)
        if name is None:
            raise UnknownReference("Stripe has no session for this order code")
        return name

    async def _change_session(self, path: str, form: Mapping[str, str]) -> None:
        await self._client.post(Operation.CANCEL, path, form, idempotency_key=new_token())

    async def _find_after(self, error: ProviderError, reference: str) -> ProviderRefund | None:
        """Look for a refund that a failed request may have made.

        Raises:
            ProviderError: The request's own, where nothing was learnt: it may have acted.
        """
        try:
            return await self.find_refund(reference)
        except ProviderError as silence:
            raise error from silence


def session_form(request: CheckoutRequest) -> dict[str, str | int]:
    """Write the request for a session: one thing to pay, by card, in our currency and no other."""
    code = str(request.order_code)
    return {
        "mode": "payment",
        "client_reference_id": code,
        f"metadata[{objects.ORDER_CODE}]": code,
        # The charge has the metadata of its payment, and none of its session.
        f"payment_intent_data[metadata][{objects.ORDER_CODE}]": code,
        "payment_intent_data[description]": request.transfer_text,
        "payment_intent_data[statement_descriptor_suffix]": request.transfer_text,
        "allowed_payment_method_types[0]": "card",
        "adaptive_pricing[enabled]": "false",
        "line_items[0][quantity]": 1,
        "line_items[0][price_data][currency]": request.money.currency.value.lower(),
        "line_items[0][price_data][unit_amount]": request.money.amount,
        "line_items[0][price_data][product_data][name]": request.transfer_text,
        "success_url": request.return_url,
        "cancel_url": request.cancel_url,
        "expires_at": int((request.expires_at + GRACE).timestamp()),
    }


@asynccontextmanager
async def open_provider(
    environment: Mapping[str, str], notify: Notify
) -> AsyncIterator[StripeProvider]:
    """Open Stripe with the STRIPE_* settings.

    Raises:
        InvalidSettings: One message per fault.
    """
    settings = StripeSettings.read(environment)
    async with connect("Stripe", settings.base_url) as http:
        yield StripeProvider(http, Guard(notify), settings)


def _read(read: Callable[[Mapping[str, Any]], T], data: Mapping[str, Any]) -> T:
    try:
        return read(data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise OutcomeUnknown("Stripe answered in a shape we cannot read") from error


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value:
        raise OutcomeUnknown(f"Stripe answered without {name}")
    return value
