"""The truth about money: a payment provider with its links, transfers and payouts, and its payers.

What is in here happened, whatever the service was told of it. At the end both must agree.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import msgspec

from payment_service.domain.money import Currency, Money
from payment_service.providers.provider import (
    AlreadyExists,
    Checkout,
    CheckoutRequest,
    CheckoutState,
    InsufficientFunds,
    InvalidDestination,
    Payer,
    PayoutState,
    ProviderPayment,
    ProviderRefund,
    RefundRequest,
    RequestRejected,
    Transfer,
    UnknownReference,
)
from tests.simulation.process import EPOCH, Surrounded

PAYER = Payer(bank_id="970422", bank_bin="970422", account_number="0123456789")
MOVING = frozenset({PayoutState.PROCESSING, PayoutState.AWAITING_APPROVAL, PayoutState.ON_HOLD})
PAID_OUT = frozenset({PayoutState.SUCCEEDED})
REDELIVERIES_MAX = 4

Deliver = Callable[[bytes], Awaitable[bool]]
"""Posts a webhook to some API process; returns whether it was acknowledged."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a webhook."""

    order_code: int
    provider_reference: str
    bank_reference: str
    amount: int
    occurred_at: datetime


@dataclass(slots=True)
class Link:
    """A payment link; `order` is the merchant's, which no later link of the payment changes."""

    request: CheckoutRequest
    reference: str
    state: CheckoutState = CheckoutState.OPEN
    transfers: list[Transfer] = field(default_factory=list)
    ends_at: datetime = EPOCH  # the bank's clock and ours are not one

    @property
    def order(self) -> str:
        """Name the payment that the link is for."""
        return self.request.return_url


class Bank:
    """Links, payouts and the people who pay."""

    def __init__(self, world: Surrounded, deliver: Deliver) -> None:
        self.world = world
        self.links: dict[int, Link] = {}
        self.payouts: dict[str, ProviderRefund] = {}
        self.foreign: list[Transfer] = []
        self.busy = 0  # payers, payouts and webhooks that are under way
        self.wallet = 10**9
        self._keys: dict[str, str] = {}
        self._refused: dict[str, bool] = {}
        self._deliver = deliver
        if world.chance.random() < world.swarm.poor_wallet:
            self.wallet = 30

    def now(self) -> datetime:
        """Tell the bank's time, which is right."""
        return EPOCH + timedelta(seconds=self.world.loop.time())

    # --- what the service asks for ---------------------------------------------------------------

    def create(self, request: CheckoutRequest) -> Checkout:
        """Make a link."""
        if request.order_code in self.links:
            self.world.note("an order code existed already")
            raise AlreadyExists("the order code exists", provider_code="exists")
        if request.expires_at <= self.now():
            raise RequestRejected("the expiry is in the past", provider_code="expired")
        if self._is_refused(request):
            self.world.note("the provider refused a link")
            raise RequestRejected("not today", provider_code="refused")
        open_already = [each for each in self.links.values() if self._is_live(each, request)]
        assert not open_already, f"two live links for {request.return_url}"
        lag = timedelta(seconds=self.world.chance.choice((0, 0, 5, 90)))
        link = Link(
            request, reference=f"link-{request.order_code:x}", ends_at=request.expires_at + lag
        )
        self.links[request.order_code] = link
        self.world.trace("bank", f"makes link {request.order_code} for {link.order}")
        self.start(self._payers(link))
        return Checkout(
            provider_reference=link.reference,
            checkout_url=f"https://pay.example/{link.reference}",
            qr_code=f"QR|{request.order_code}|{request.money.amount}",
        )

    def _is_refused(self, request: CheckoutRequest) -> bool:
        """Decide once for each order whether the bank wants it."""
        if request.return_url not in self._refused:
            refused = self.world.chance.random() < self.world.swarm.refused
            self._refused[request.return_url] = refused
        return self._refused[request.return_url]

    def _is_unknown_account(self, request: RefundRequest) -> bool:
        """Decide once for each refund whether its account can be paid."""
        refund = request.reference.rpartition("-")[0]
        if refund not in self._refused:
            trouble = self.world.swarm.payout_trouble * 0.1
            self._refused[refund] = self.world.chance.random() < trouble
        return self._refused[refund]

    def _is_live(self, link: Link, request: CheckoutRequest) -> bool:
        self._expire(link)
        return link.order == request.return_url and link.state is CheckoutState.OPEN

    def look(self, order_code: int) -> ProviderPayment:
        """Tell about a link."""
        link = self.links.get(order_code)
        if link is None:
            raise UnknownReference("no such link", provider_code="unknown")
        self._expire(link)
        return ProviderPayment(
            order_code=order_code,
            provider_reference=link.reference,
            state=link.state,
            amount=link.request.money.amount,
            amount_paid=sum(transfer.money.amount for transfer in link.transfers),
            transfers=tuple(link.transfers),
        )

    def cancel(self, order_code: int) -> ProviderPayment:
        """Close a link."""
        self.look(order_code)
        link = self.links[order_code]
        if link.state is CheckoutState.OPEN:
            link.state = CheckoutState.CANCELED
            self.world.trace("bank", f"closes link {order_code}")
        return self.look(order_code)

    def pay_out(self, request: RefundRequest) -> ProviderRefund:
        """Pay money back, once per key."""
        known = self._keys.get(request.idempotency_key)
        if known is not None:
            self.world.note("a payout was asked for twice, and paid once")
            return self.payouts[known]
        chance = self.world.chance
        if request.money.amount > self.wallet:
            self.world.note("the wallet was too small for a payout")
            # Somebody fills it up: too little, or for more than this payout.
            self.wallet += request.money.amount * chance.choice((2, 9)) // 3
            raise InsufficientFunds("the wallet is empty", provider_code="balance")
        if self._is_unknown_account(request):
            self.world.note("a payout's account did not exist")
            raise InvalidDestination("no such account", provider_code="account")
        self.wallet -= request.money.amount
        is_quick = chance.random() < 0.4
        payout = ProviderRefund(
            provider_reference=f"payout-{request.reference}",
            reference=request.reference,
            state=PayoutState.SUCCEEDED if is_quick else chance.choice(sorted(MOVING)),
            amount=request.money.amount,
        )
        self.payouts[request.reference] = payout
        self._keys[request.idempotency_key] = request.reference
        self.world.trace("bank", f"takes payout {request.reference}: {payout.state}")
        self.start(self._settle(request.reference))
        return payout

    def find_payout(self, reference: str) -> ProviderRefund | None:
        """Tell about a payout."""
        return self.payouts.get(reference)

    # --- what people and banks do ----------------------------------------------------------------

    def start(self, work: Awaitable[None]) -> None:
        async def run() -> None:
            try:
                await work
            finally:
                self.busy -= 1

        self.busy += 1
        self.world.loop.create_task(run())

    async def _payers(self, link: Link) -> None:
        """Pay a link in one of the ways that people find."""
        chance = self.world.chance
        asked = link.request.money.amount
        part = max(1, asked * chance.randint(20, 80) // 100)
        if chance.random() < self.world.swarm.odd_money:
            amounts = chance.choice(
                ([], [part], [part, asked - part], [part, asked], [asked + part], [asked, asked],
                 [asked, part], [part, part, part])
            )  # fmt: skip
        else:
            amounts = chance.choice(([asked], [asked], [asked], []))
        if chance.random() < 0.2:  # after the link has ended, perhaps by a day
            left = (link.request.expires_at - self.now()).total_seconds()
            await asyncio.sleep(left + chance.choice((-1.0, 0.5, 60.0, 80_000.0)) * chance.random())
        for number, amount in enumerate(amounts, start=1):
            await asyncio.sleep(chance.choice((0.01, 0.3, 2.0, 6.0)) * chance.random())
            self.receive(link, amount, number)

    def receive(self, link: Link, amount: int, number: int) -> None:
        """Book a transfer, and tell of it."""
        self._expire(link)
        transfer = Transfer(
            order_code=link.request.order_code,
            provider_reference=link.reference,
            bank_reference=f"FT{link.request.order_code}-{number}",
            money=Money(amount, Currency.VND),
            occurred_at=self.now().replace(microsecond=0),
            payer=PAYER,
        )
        link.transfers.append(transfer)
        self.world.trace("bank", f"receives {amount} for link {link.request.order_code}")
        paid = sum(known.money.amount for known in link.transfers)
        if link.state is CheckoutState.OPEN and paid >= link.request.money.amount:
            link.state = CheckoutState.PAID
        self.tell(transfer)

    def receive_foreign(self, order_code: int) -> None:
        """Book a transfer to a link of another environment on the same channel, and tell of it."""
        transfer = Transfer(
            order_code=order_code,
            provider_reference=f"foreign-{order_code}",
            bank_reference=f"FT{order_code}",
            money=Money(77, Currency.VND),
            occurred_at=self.now().replace(microsecond=0),
            payer=PAYER,
        )
        self.foreign.append(transfer)
        self.tell(transfer, never_lost=True)

    def tell(self, transfer: Transfer, *, never_lost: bool = False) -> None:
        """Send the webhook of a transfer: not at all, once, or more than once."""
        chance, swarm = self.world.chance, self.world.swarm
        if chance.random() < swarm.webhook_lost and not never_lost:
            self.world.note("a webhook was never sent")
            return
        body = msgspec.json.encode(
            Report(
                order_code=transfer.order_code,
                provider_reference=transfer.provider_reference,
                bank_reference=transfer.bank_reference,
                amount=transfer.money.amount,
                occurred_at=transfer.occurred_at,
            )
        )
        for _ in range(2 if chance.random() < swarm.webhook_doubled else 1):
            late = chance.random() < swarm.webhook_delayed
            delay = chance.random() * (20.0 if late else 0.5)
            self.start(self._post(body, delay, tries=99 if never_lost else REDELIVERIES_MAX))

    async def _post(self, body: bytes, delay: float, *, tries: int) -> None:
        for _ in range(tries):
            await asyncio.sleep(delay)
            if await self._deliver(body):
                return
            delay = min(60.0, 1.0 + delay * 2)
        self.world.note("the provider gave a webhook up")

    async def _settle(self, reference: str) -> None:
        """Move a payout on until it is final, and perhaps send it back days later."""
        chance, trouble = self.world.chance, self.world.swarm.payout_trouble
        while self.payouts[reference].state in MOVING:
            await asyncio.sleep(chance.choice((1.0, 10.0, 300.0)) * chance.random())
            if chance.random() < trouble * 0.5:
                self._move(reference, chance.choice((PayoutState.FAILED, PayoutState.CANCELED)))
            else:
                self._move(reference, PayoutState.SUCCEEDED)
        if self.payouts[reference].state in PAID_OUT and chance.random() < trouble * 0.5:
            await asyncio.sleep(chance.choice((5.0, 100_000.0)) * chance.random())
            self._move(reference, PayoutState.RETURNED)
            self.world.note("a bank sent a payout back")

    def _move(self, reference: str, state: PayoutState) -> None:
        self.payouts[reference] = replace(self.payouts[reference], state=state)
        self.world.trace("bank", f"payout {reference} is {state}")
        if state not in PAID_OUT:
            self.wallet += self.payouts[reference].amount

    def _expire(self, link: Link) -> None:
        if link.state is CheckoutState.OPEN and self.now() >= link.ends_at:
            link.state = CheckoutState.EXPIRED
