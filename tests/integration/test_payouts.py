"""A refund is paid out once: whatever is lost, late or frozen, and whatever the provider says."""

import asyncio
from typing import Any

import pytest

from payment_service.use_cases.pay_out_refund import pay_out_refund
from tests.support.held import Held
from tests.support.service import Harness
from tests.support.simulator import Simulator

ACCOUNT = {"type": "bank_account", "bank_bin": "970422", "account_number": "0123456789"}
PAYOUTS = "/v1/payouts"
REFUSALS = ("PAYOUT_LIMIT_REACHED", "INVALID_DESTINATION")


class Desk:
    """A refund of 40 of a payment of 100, and both sides' view of it."""

    def __init__(self, service: Harness, simulator: Simulator) -> None:
        self._service = service
        self._simulator = simulator
        self._path = ""
        self.refund_id = ""

    async def open(self) -> None:
        payment = await self._service.create(100)
        self._simulator.pay(payment["provider_reference"])
        await self._service.deliver(self._simulator.webhook(payment["provider_reference"]))
        self._path = f"/v1/payments/{payment['payment_id']}/refunds"
        body = {"amount": 40, "reason": "other", "destination": ACCOUNT}
        made = await self._service.request("POST", self._path, body)
        self.refund_id = made.json()["refund_id"]

    def start(self) -> "asyncio.Task[None]":
        """Have a scheduler look at the refund, which may be one that hangs."""
        service = self._service.service
        return asyncio.create_task(
            pay_out_refund(service.database, service.provider, service.clock, self.refund_id)
        )

    async def seen(self) -> tuple[str, str | None]:
        """Tell the refund's status, and why it is so."""
        path = f"{self._path}/{self.refund_id}"
        refund = (await self._service.request("GET", path)).json()
        return refund["status"], refund.get("pending_reason") or refund.get("failure_reason")

    def payouts(self) -> list[tuple[str, str]]:
        """List the refund's payouts in the provider's books: name and state."""
        return [
            (payout["reference"].removeprefix(self.refund_id), payout["state"])
            for payout in self._simulator.ledger()["payouts"].values()
            if payout["reference"].startswith(self.refund_id)
        ]

    def requests(self) -> int:
        """Count the requests to pay out that reached the provider, of all refunds."""
        return len(self._simulator.ledger()["payout_signatures"])


@pytest.fixture
async def desk(service: Harness, simulator: Simulator) -> Desk:
    refund = Desk(service, simulator)
    await refund.open()
    return refund


async def hanging(
    desk: Desk, service: Harness, monkeypatch: pytest.MonkeyPatch, *, before: bool
) -> tuple[Held, "asyncio.Task[None]"]:
    """Start a look at the refund that hangs before, or after, its request to pay out."""
    call = Held(service.service.provider.refund, before=before)
    monkeypatch.setattr(service.service.provider, "refund", call)
    look = desk.start()
    await call.answered.wait()
    return call, look


async def test_wallet_that_is_filled_while_an_old_request_is_under_way_pays_once(
    desk: Desk, service: Harness, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second look is refused; then the first one, long thought dead, is fulfilled."""
    simulator.modes(wallet=0)
    late, zombie = await hanging(desk, service, monkeypatch, before=True)
    await service.advance(10)
    waiting = await desk.seen()

    simulator.modes(wallet=1000)
    late.leave.set()
    await zombie
    await service.advance(120)
    await service.advance(120)

    assert waiting == ("pending", "insufficient_funds")
    assert desk.payouts() == [("-1", "SUCCEEDED")]
    assert await desk.seen() == ("succeeded", None)


async def test_empty_wallet_refuses_one_payout_and_not_the_next(
    desk: Desk, service: Harness, simulator: Simulator
) -> None:
    """A provider may remember the refusal: what was sent once, and refused, has a successor."""
    simulator.modes(wallet=0)
    await service.settle()
    simulator.modes(wallet=1000)

    await service.advance(120)
    await service.advance(120)

    assert desk.payouts() == [("-2", "SUCCEEDED")]


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_refusal_that_comes_late_does_not_overrule_the_payout_that_was_made(
    desk: Desk,
    service: Harness,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    refusal: str,
) -> None:
    simulator.modes(payout_seconds=3600)
    simulator.fault("code_before", path=PAYOUTS, method="POST", code="20", description=refusal)
    late, zombie = await hanging(desk, service, monkeypatch, before=False)
    await service.advance(10)

    late.leave.set()
    await zombie
    promised = await desk.seen()
    simulator.modes(payout_seconds=0)
    await service.advance(3600)

    assert promised == ("pending", "processing")
    assert (desk.payouts(), await desk.seen()) == ([("-1", "SUCCEEDED")], ("succeeded", None))


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_refusal_ends_nothing_while_an_earlier_request_may_still_arrive(
    desk: Desk,
    service: Harness,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    refusal: str,
) -> None:
    late, zombie = await hanging(desk, service, monkeypatch, before=True)
    simulator.fault("code_before", path=PAYOUTS, method="POST", code="20", description=refusal)
    await service.advance(10)
    refused = await desk.seen()

    late.leave.set()
    await zombie
    await service.advance(120)

    assert refused == ("pending", "processing")
    assert (desk.payouts(), await desk.seen()) == ([("-1", "SUCCEEDED")], ("succeeded", None))


async def test_refusal_after_a_lost_answer_ends_the_refund_in_the_end(
    desk: Desk, service: Harness, simulator: Simulator
) -> None:
    simulator.fault("reset_before", path=PAYOUTS, method="POST")
    simulator.fault(
        "code_before", path=PAYOUTS, method="POST", code="20", description="INVALID_DESTINATION",
        times=100,
    )  # fmt: skip
    await service.settle()
    early = await desk.seen()

    for _ in range(8):
        await service.advance(900)

    assert early == ("pending", "processing")
    assert (desk.payouts(), await desk.seen()) == ([], ("failed", "destination_invalid"))


@pytest.mark.parametrize("name", ["DUPLICATE_IDEMPOTENCY_KEY", "DUPLICATE_REFERENCE_ID"])
async def test_name_that_is_taken_means_that_there_is_a_payout(
    desk: Desk, service: Harness, simulator: Simulator, name: str
) -> None:
    """A repeated key may be an error to payOS: it comes as code 20, like refusals do."""
    simulator.modes(payout_seconds=3600)
    simulator.fault("code_after", path=PAYOUTS, method="POST", code="20", description=name)

    await service.settle()
    promised = await desk.seen()
    simulator.modes(payout_seconds=0)
    await service.advance(10)

    assert promised == ("pending", "processing")
    assert (desk.payouts(), await desk.seen()) == ([("-1", "SUCCEEDED")], ("succeeded", None))


@pytest.mark.parametrize("payout_seconds", [0, 10**6])
async def test_payout_that_the_provider_told_of_is_asked_about_and_never_sent_again(
    desk: Desk, service: Harness, simulator: Simulator, payout_seconds: int
) -> None:
    """Days later it may have forgotten the key; that it does not find the payout says nothing."""
    simulator.modes(payout_seconds=payout_seconds)
    await service.settle()
    await service.advance(10)
    told, sent = await desk.seen(), desk.requests()
    nothing: dict[str, Any] = {"payouts": []}
    simulator.fault("altered", path=PAYOUTS, method="GET", data=nothing, times=100)

    for _ in range(8):
        await service.advance(6 * 3600)

    assert (await desk.seen(), desk.requests()) == (told, sent)
