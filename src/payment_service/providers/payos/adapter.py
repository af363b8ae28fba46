"""payOS behind the provider interface."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from payment_service.domain.money import Currency, Money
from payment_service.providers.exchange import Connections, connect
from payment_service.providers.guard import Guard
from payment_service.providers.notices import Notify
from payment_service.providers.payos import payouts, signature, webhooks
from payment_service.providers.payos.client import PayOSClient
from payment_service.providers.payos.settings import PayOSSettings
from payment_service.providers.provider import (
    Capabilities,
    Checkout,
    CheckoutRequest,
    CheckoutState,
    InvalidDestination,
    Operation,
    OutcomeUnknown,
    ProviderError,
    ProviderMisconfigured,
    ProviderPayment,
    ProviderRefund,
    RefundRequest,
    RequestNotSent,
    RequestRejected,
    Transfer,
    UnreadableWebhook,
    VerifiedWebhook,
    WebhookReport,
)

NAME = "payos"
_STATES = {
    "PENDING": CheckoutState.OPEN,
    "PROCESSING": CheckoutState.OPEN,
    "UNDERPAID": CheckoutState.OPEN,
    "PAID": CheckoutState.PAID,
    "CANCELLED": CheckoutState.CANCELED,
    "EXPIRED": CheckoutState.EXPIRED,
    "FAILED": CheckoutState.FAILED,
}


class PayOSProvider:
    """Payment links and, where a payout channel is configured, refunds by payout."""

    def __init__(self, http: Connections, guard: Guard, settings: PayOSSettings) -> None:
        self._guard = guard
        self._payment = PayOSClient(http, settings.payment, guard)
        self._payout = PayOSClient(http, settings.payout, guard) if settings.payout else None
        self._settings = settings

    @property
    def name(self) -> str:
        """`payos`."""
        return NAME

    @property
    def capabilities(self) -> Capabilities:
        """Refunds need the payout channel."""
        return Capabilities(refunds=self._payout is not None, native_qr=True)

    def check_ready(self, operation: Operation) -> None:
        """Ask the operation's circuit; see `PaymentProvider`."""
        self._guard.check_ready(operation)

    async def create_payment(self, request: CheckoutRequest) -> Checkout:
        """Make a payment link; see `PaymentProvider`."""
        body: dict[str, Any] = {
            "orderCode": request.order_code,
            "amount": request.money.amount,
            "description": request.transfer_text,
            "cancelUrl": request.cancel_url,
            "returnUrl": request.return_url,
            "expiredAt": int(request.expires_at.timestamp()),
        }
        body["signature"] = signature.sign_create(body, self._settings.payment.checksum_key)
        data = await self._payment.call(Operation.CREATE, "POST", "/v2/payment-requests", body=body)
        if data.get("orderCode") != request.order_code or data.get("amount") != (
            request.money.amount
        ):
            raise OutcomeUnknown("payOS answered for another payment")
        return Checkout(
            provider_reference=_text(data, "paymentLinkId"),
            checkout_url=_text(data, "checkoutUrl"),
            qr_code=_text(data, "qrCode"),
        )

    async def get_payment(self, order_code: int) -> ProviderPayment:
        """Ask about a payment link; see `PaymentProvider`."""
        path = f"/v2/payment-requests/{order_code}"
        data = await self._payment.call(Operation.GET, "GET", path, may_repeat=True)
        if data.get("orderCode") != order_code:
            raise OutcomeUnknown("payOS answered for another payment")
        return _payment(data)

    async def cancel_payment(self, order_code: int, reason: str) -> ProviderPayment:
        """Close a payment link; see `PaymentProvider`."""
        path = f"/v2/payment-requests/{order_code}/cancel"
        try:
            body = {"cancellationReason": reason[:255]}
            await self._payment.call(Operation.CANCEL, "POST", path, body=body)
        except RequestRejected as refusal:
            # Paid or closed already, or never there: the link itself tells which.
            if refusal.provider_code == "101":
                raise
        # Read it after it was closed: what is on it now is final.
        try:
            return await self.get_payment(order_code)
        except RequestNotSent as error:
            raise OutcomeUnknown("closed at payOS perhaps, but not looked at") from error

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> VerifiedWebhook:
        """Check that the body comes from payOS; its headers say nothing."""
        return webhooks.verify(body, self._settings.payment.checksum_keys)

    def parse_webhook(self, body: bytes, schema_version: str) -> WebhookReport:
        """Read a stored webhook; see `PaymentProvider`."""
        return webhooks.parse(body, schema_version)

    async def refund(self, request: RefundRequest) -> ProviderRefund:
        """Pay out; see `PaymentProvider`."""
        client, credentials = self._payout_channel()
        if request.bank_bin is None:
            raise InvalidDestination("payOS pays out to bank accounts")
        body = payouts.request_body(request)
        headers = {
            "x-idempotency-key": request.idempotency_key,
            "x-signature": signature.sign_payout(body, credentials.checksum_key),
        }
        try:
            data = await client.call(
                Operation.REFUND,
                "POST",
                "/v1/payouts",
                body=body,
                headers=headers,
                signed_by="header",
            )
            return payouts.made(data, request)
        except OutcomeUnknown as error:
            found = await self._find_after(error, request.reference)
            if found is None:
                raise
            return found

    async def _find_after(self, error: ProviderError, reference: str) -> ProviderRefund | None:
        """Look for a payout that a failed request may have made.

        Raises:
            ProviderError: The request's own, where nothing was learnt: it may have acted.
        """
        try:
            return await self.find_refund(reference)
        except ProviderError as silence:
            raise error from silence

    async def find_refund(self, reference: str) -> ProviderRefund | None:
        """Look a payout up by our name for it; see `PaymentProvider`."""
        client, _ = self._payout_channel()
        query = {"referenceId": reference, "limit": "10"}
        data = await client.call(
            Operation.FIND_REFUND,
            "GET",
            "/v1/payouts",
            query=query,
            signed_by="header",
            may_repeat=True,
        )
        return payouts.find(data, reference)

    async def register_webhook(self, url: str) -> None:
        """Register the webhook URL; payOS pings it before it answers."""
        body = {"webhookUrl": url}
        await self._payment.call(
            Operation.REGISTER_WEBHOOK, "POST", "/confirm-webhook", body=body, signed_by=""
        )

    def _payout_channel(self) -> tuple[PayOSClient, Any]:
        if self._payout is None or self._settings.payout is None:
            raise ProviderMisconfigured("no payout channel is configured")
        return self._payout, self._settings.payout


@asynccontextmanager
async def open_provider(
    environment: Mapping[str, str], notify: Notify
) -> AsyncIterator[PayOSProvider]:
    """Open payOS with the PAYOS_* settings.

    Raises:
        InvalidSettings: One message per fault.
    """
    settings = PayOSSettings.read(environment)
    async with connect("payOS", settings.base_url) as http:
        yield PayOSProvider(http, Guard(notify), settings)


def _payment(data: dict[str, Any]) -> ProviderPayment:
    try:
        order_code, link = data["orderCode"], _text(data, "id")
        transfers = tuple(
            _transfer(entry, order_code, link) for entry in data.get("transactions") or ()
        )
        return ProviderPayment(
            order_code=order_code,
            provider_reference=link,
            state=_STATES.get(data["status"], CheckoutState.UNRECOGNISED),
            amount=data["amount"],
            amount_paid=data["amountPaid"],
            transfers=transfers,
        )
    except (KeyError, TypeError, ValueError, AttributeError, UnreadableWebhook) as error:
        raise OutcomeUnknown("payOS answered in a shape we cannot read") from error


def _transfer(entry: dict[str, Any], order_code: int, link: str) -> Transfer:
    return Transfer(
        order_code=order_code,
        provider_reference=link,
        bank_reference=entry["reference"].strip(),
        money=Money(entry["amount"], Currency.VND),
        occurred_at=webhooks.local_time(entry["transactionDateTime"]),
        payer=webhooks.payer(
            entry.get("counterAccountBankId"),
            entry.get("counterAccountNumber"),
            entry.get("counterAccountName"),
        ),
    )


def _text(data: dict[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value:
        raise OutcomeUnknown(f"payOS answered without {name}")
    return value
