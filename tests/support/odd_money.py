"""Makes payments whose money needs a decision: late, too little, too much, twice, sent back."""

from typing import Any

from payment_service.domain.audit import Actor, ActorKind
from payment_service.storage.exceptions import Filters, list_cases
from payment_service.use_cases.resolve_exception import (
    Apply,
    ResolveException,
    resolve_exception_by_hand,
)
from payos_simulator import signatures
from tests.support.service import Harness
from tests.support.simulator import PAYMENT, Simulator

ACCOUNT = {"type": "bank_account", "bank_bin": "970422", "account_number": "0123456789"}
UNPAYABLE = ACCOUNT | {"account_number": "0004040000"}
PRICE = 100
FOREIGN_LINK = "0" * 32


class OddMoney:
    """A shop's support desk: makes the trouble, and looks at what came of it."""

    def __init__(self, service: Harness, simulator: Simulator) -> None:
        self.service = service
        self.simulator = simulator

    async def pay(self, payment: dict[str, Any], amount: int, **payer: Any) -> None:
        """Transfer money to a payment, and have it told."""
        self.simulator.pay(payment["provider_reference"], amount, **payer)
        await self.service.deliver(self.simulator.webhook(payment["provider_reference"]))

    async def paid(self, *amounts: int, **changes: Any) -> dict[str, Any]:
        """Make a payment of 100 to which these transfers come."""
        payment = await self.service.create(PRICE, **changes)
        for amount in amounts:
            await self.pay(payment, amount)
        return payment

    async def expired(self, *amounts: int, late: int = 0, **changes: Any) -> dict[str, Any]:
        """Make a payment of 100 that expires with these transfers, and then gets a late one."""
        payment = await self.paid(*amounts, expires_in_seconds=60, **changes)
        await self.service.advance(61)
        if late:
            await self.pay(payment, late)
        return payment

    async def returned(self) -> dict[str, Any]:
        """Make a paid payment of which the bank sent a refund of 40 back."""
        payment = await self.paid(PRICE)
        path = f"/v1/payments/{payment['payment_id']}/refunds"
        body = {"amount": 40, "reason": "requested_by_customer", "destination": ACCOUNT}
        refund = (await self.service.request("POST", path, body)).json()
        await self.service.settle()
        await self.service.advance(10)
        self.simulator.settle(f"{refund['refund_id']}-1", "REVERSED")
        await self.service.advance(7 * 3600)
        return payment

    async def contradicted(self) -> dict[str, Any]:
        """Make a paid payment whose transfer is told again with another amount."""
        payment = await self.paid(PRICE)
        await self.tell(payment, amount=PRICE + 1)
        return payment

    async def tell(self, payment: dict[str, Any], **changes: Any) -> None:
        """Tell the last transfer of a payment again, with other data."""
        webhook = self.simulator.webhook(payment["provider_reference"])
        webhook["data"] |= changes
        webhook["signature"] = signatures.of_data(webhook["data"], PAYMENT.checksum_key)
        response = await self.service.deliver(webhook)
        assert response.status_code == 200, response.text

    async def unmatched(self, amount: int = PRICE) -> None:
        """Transfer money for an order that is none of ours."""
        payment = await self.service.create(amount)
        self.simulator.pay(payment["provider_reference"], amount)
        await self.tell(payment, orderCode=777, paymentLinkId=FOREIGN_LINK)

    async def apply_unmatched(self, payment: dict[str, Any]) -> None:
        """Have an operator give what is nobody's to a payment."""
        service = self.service.service
        (case,) = await service.database.read(
            lambda session: list_cases(session, Filters(code="unmatched", is_open=True), limit=2)
        )
        command = ResolveException(
            exception_id=case.exception.id,
            tenant_id=None,
            decision=Apply(payment["payment_id"]),
            actor=Actor(ActorKind.OPERATOR, "mai"),
            reason="the bank's letter",
        )
        await resolve_exception_by_hand(service.database, service.provider, service.clock, command)

    async def exceptions(self, payment: dict[str, Any], **query: str) -> list[dict[str, Any]]:
        """List the exceptions of a payment."""
        parameters = {"payment_id": payment["payment_id"]} | query
        response = await self.service.request("GET", "/v1/exceptions", params=parameters)
        assert response.status_code == 200, response.text
        return list(response.json()["data"])

    async def exception(self, payment: dict[str, Any]) -> dict[str, Any]:
        """Read the one open exception of a payment."""
        (found,) = await self.exceptions(payment, status="open")
        return found

    async def resolve(self, exception: dict[str, Any], action: str, **more: Any) -> Any:
        """Decide about an exception."""
        options = {name: more.pop(name) for name in ("key", "tenant", "headers") if name in more}
        body = {"action": action, "reason": "as agreed"} | more
        if action == "refund":
            body = {"destination": ACCOUNT} | body
        path = f"/v1/exceptions/{exception['exception_id']}/resolve"
        return await self.service.request("POST", path, body, **options)

    async def amounts(self, payment: dict[str, Any]) -> tuple[str, int, int, int]:
        """Tell status, received, unapplied and promised back."""
        seen = await self.service.get(payment["payment_id"])
        back = seen["amounts"]["refunded"] + seen["amounts"]["refund_pending"]
        return seen["status"], seen["amounts"]["received"], seen["amounts"]["unapplied"], back

    async def events(self, payment: dict[str, Any]) -> list[dict[str, Any]]:
        """Read what was published about a payment."""
        await self.service.settle()
        return [event for event in self.service.events()
                if event["subject"] == payment["payment_id"]]  # fmt: skip
