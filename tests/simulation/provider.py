"""The bank as one process reaches it: over a network that loses, delays and forgets."""

import asyncio
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from payment_service.domain.errors import WebhookSignatureInvalid
from payment_service.domain.money import Currency, Money
from payment_service.providers import deadline
from payment_service.providers.provider import (
    Capabilities,
    Checkout,
    CheckoutRequest,
    HeldBack,
    Operation,
    OutcomeUnknown,
    ProviderError,
    ProviderPayment,
    ProviderRefund,
    ProviderTimeout,
    RefundRequest,
    RequestNotSent,
    Transfer,
    UnreadableWebhook,
    VerifiedWebhook,
    WebhookKind,
    WebhookReport,
)
from tests.simulation.bank import PAYER, Bank, Report
from tests.simulation.process import PROVIDER, Process

CALL_SECONDS = 10.0  # that a caller waits at most
SLOW_SECONDS = (2.0, 8.0, 12.0)
T = TypeVar("T")


class SimulatedProvider:
    """Implements `PaymentProvider`."""

    name = PROVIDER
    capabilities = Capabilities(refunds=True, native_qr=True)

    def __init__(self, bank: Bank, process: Process) -> None:
        self._bank = bank
        self._process = process

    def check_ready(self, operation: Operation) -> None:
        """Refuse what would not be sent: a circuit breaker is open."""
        world = self._process.world
        if world.chance.random() < world.swarm.not_sent:
            world.note("a request was held back")
            raise HeldBack("the provider is left alone for now", retry_after_seconds=1.0)

    async def create_payment(self, request: CheckoutRequest) -> Checkout:
        """Make a payment link."""
        return await self._call("a new link", lambda: self._bank.create(request), acts=True)

    async def get_payment(self, order_code: int) -> ProviderPayment:
        """Ask about a payment link."""
        return await self._call("a look at a link", lambda: self._bank.look(order_code))

    async def cancel_payment(self, order_code: int, reason: str) -> ProviderPayment:
        """Close a payment link."""
        return await self._call("a closed link", lambda: self._bank.cancel(order_code), acts=True)

    async def refund(self, request: RefundRequest) -> ProviderRefund:
        """Pay money back."""
        return await self._call("a payout", lambda: self._bank.pay_out(request), acts=True)

    async def find_refund(self, reference: str) -> ProviderRefund | None:
        """Ask about a payout."""
        found = await self._call("a look at a payout", lambda: self._bank.find_payout(reference))
        self._process.world.note(
            "a payout was looked for, and not there" if found is None
            else "a payout was looked for, and found"
        )  # fmt: skip
        return found

    async def register_webhook(self, url: str) -> None:
        """Nobody asks for it here."""

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> VerifiedWebhook:
        """Check that the body comes from the bank."""
        if headers.get("x-signature") != "right":
            raise WebhookSignatureInvalid("The signature does not match.")
        report = msgspec.json.decode(body, type=Report)
        return VerifiedWebhook(
            event_id=f"{report.bank_reference}:{report.amount}",
            key=str(report.order_code),
            schema_version="v1",
        )

    def parse_webhook(self, body: bytes, schema_version: str) -> WebhookReport:
        """Read a stored webhook."""
        try:
            report = msgspec.json.decode(body, type=Report)
        except msgspec.DecodeError as error:
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

    async def _call(self, what: str, act: Callable[[], T], *, acts: bool = False) -> T:
        """Ask the bank for something, and hear its answer, or not.

        Args:
            what: What a crash before the record would leave behind.
            act: What the bank does.
            acts: It changes something at the bank.
        """
        process, world = self._process, self._process.world
        chance, swarm = world.chance, world.swarm
        assert not process.is_in_transaction, "the provider was called inside a transaction"
        await process.step()
        limit = deadline.seconds_for_call(CALL_SECONDS)
        if not limit:
            world.note("there was no time left for a call")
            raise HeldBack("there is no time left")
        if chance.random() < swarm.not_sent:
            raise RequestNotSent("connection refused")
        takes = chance.random() * 0.3
        if chance.random() < swarm.slow:
            takes = chance.choice(SLOW_SECONDS)
        await asyncio.sleep(min(takes, limit))
        process.require_alive()
        if chance.random() < swarm.request_lost:
            raise ProviderTimeout("no answer")
        if takes > limit or (acts and chance.random() < swarm.request_delayed):
            if acts:
                self._act_later(act)
            raise ProviderTimeout("no answer yet")
        try:
            answer = act()
        finally:
            if acts:
                process.last_effect = what
        await process.step()
        if chance.random() < swarm.answer_lost:
            world.note(f"the answer to {what} was lost")
            await asyncio.sleep(chance.random() * 2)
            raise ProviderTimeout("no answer") if chance.random() < 0.5 else OutcomeUnknown("500")
        return answer

    def _act_later(self, act: Callable[[], object]) -> None:
        """Let a request arrive after its caller has stopped waiting for the answer."""
        world = self._process.world

        async def arrive() -> None:
            await asyncio.sleep(world.chance.random() * 10)
            try:
                act()
            except ProviderError:
                return
            world.note("a request acted after its caller had given up")

        self._bank.start(arrive())
