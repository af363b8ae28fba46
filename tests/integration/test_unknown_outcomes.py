"""Whatever happens to an answer of payOS, and whether it had acted: found out, never done twice.

Each case is an answer that tells nothing, to a request that was fulfilled or not, and what payOS
says when it is asked afterwards: the truth, that it knows nothing (which may be a lie), or nothing.
"""

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from payment_service.domain.idempotency import LEASE
from payment_service.providers import circuit_breaker, deadline, guard
from tests.support.links import events, links, order_codes
from tests.support.service import Harness, environment, order, running_service
from tests.support.simulator import Simulator

CREATE, LINK, CANCEL = "/v2/payment-requests", r"/v2/payment-requests/\d+", r"/v2/.*/cancel"
PAYOUTS = "/v1/payouts"
TRY_SECONDS = 0.25
TRIES_MAX = 8

ANSWERS: dict[str, dict[str, Any]] = {
    "500": {"kind": "status", "status": 500},
    "502": {"kind": "status", "status": 502},
    "503": {"kind": "status", "status": 503},
    "408": {"kind": "status", "status": 408},
    "429": {"kind": "status", "status": 429},
    "302": {"kind": "status", "status": 302},
    "not JSON": {"kind": "not_json"},
    "truncated": {"kind": "broken"},
    "reset": {"kind": "reset"},
    "reset after headers": {"kind": "cut"},
    "silence": {"kind": "timeout"},
    "drip": {"kind": "drip", "seconds": 0.05},
    "forged": {"kind": "bad_signature"},
    "another code": {"kind": "code", "code": "999"},
}
SOMEBODY_ELSES = {"paymentLinkId": "f" * 32, "checkoutUrl": "https://x.example", "qrCode": "x"}
OF_ANOTHER_LINK: dict[str, dict[str, Any]] = {
    "another link": {"kind": "altered", "data": {"orderCode": 1} | SOMEBODY_ELSES},
    "another amount": {"kind": "altered", "data": {"amount": 1} | SOMEBODY_ELSES},
}
OF_ANOTHER_PAYOUT: dict[str, dict[str, Any]] = {
    "another payout": {"kind": "altered", "data": {"referenceId": "ref-of-somebody-else"}},
    "another amount": {
        "kind": "altered",
        "data": {"transactions": [{"amount": 1, "state": "SUCCEEDED"}]},
    },
}
LATER: dict[str, dict[str, Any]] = {
    "truth": {},
    "knows-nothing": {"kind": "code_before", "code": "101"},
    "says-nothing": {"kind": "status", "status": 500, "times": guard.TRIES_MAX},
}
NO_PAYOUTS = {"kind": "altered", "data": {"payouts": []}}


def cases(answers: dict[str, dict[str, Any]]) -> Callable[..., Any]:
    """Every answer, to a request that was fulfilled and to one that was not."""
    return pytest.mark.parametrize(
        ("answer", "acted"),
        [
            pytest.param(options, acted, id=f"{name}-{acted}")
            for name, options in answers.items()
            for acted in ("before", "after")
        ],
    )


def ways(acted: str, *recoveries: str) -> Iterator[tuple[tuple[str, dict[str, Any]], str]]:
    """Whatever payOS says later, with each way of recovery at its turn."""
    turn = itertools.cycle(recoveries if acted == "before" else reversed(recoveries))
    return zip(LATER.items(), turn, strict=False)


@pytest.fixture
async def service(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Harness]:
    """A service that loses patience in a quarter of a second, and never leaves payOS alone."""
    monkeypatch.setattr(guard, "TRY_SECONDS", TRY_SECONDS)
    monkeypatch.setattr(deadline, "CALL_SECONDS_MIN", TRY_SECONDS / 2)
    monkeypatch.setattr(guard, "BACKOFF_SECONDS", 0)
    monkeypatch.setattr(circuit_breaker, "CALLS_MIN", 10**6)
    monkeypatch.setattr(circuit_breaker, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(guard, "PAUSE_SECONDS", 0)
    database_url = f"sqlite+aiosqlite:///{tmp_path}/payments.db"
    async with running_service(environment(database_url, simulator.environment)) as harness:
        yield harness
        assert await harness.violations() == []


def spoil(
    simulator: Simulator, answer: dict[str, Any], acted: str, *, path: str, times: int = 1
) -> None:
    """Have answers to POSTs spoilt, of requests that are fulfilled (`after`) or not."""
    options = answer | {"kind": f"{answer['kind']}_{acted}"}
    simulator.fault(**options, path=path, method="POST", times=times)


@cases(ANSWERS | OF_ANOTHER_LINK)
async def test_creation_ends_with_one_link_and_one_answer(
    service: Harness, simulator: Simulator, answer: dict[str, Any], acted: str
) -> None:
    for (later, said), recovery in ways(acted, "retry", "completer"):
        case, body = f"{later}:{recovery}", order()
        spoil(simulator, answer, acted, path=CREATE, times=2)
        if said:
            simulator.fault(**said, path=LINK, method="GET")

        first = await service.request("POST", "/v1/payments", body, key=case)
        if recovery == "completer":
            await service.advance(LEASE.total_seconds() + 1)
        last = await repeated(service, "/v1/payments", body, key=case)

        assert first.status_code == 201 or first.json()["retryable"], case
        assert last.status_code == 201, case
        payment = await service.get(last.json()["payment_id"])
        assert (payment["status"], payment["version"]) == ("pending", 1), case
        assert payment["qr_code"], case
        live = simulator.link((await order_codes(service, payment["payment_id"]))[-1])
        assert payment["checkout_url"].endswith(live["id"]), case
        states = await links(service, simulator, payment["payment_id"])
        assert states.count("PENDING") == 1, (case, states)
        assert set(states) <= {"PENDING", "CANCELLED"}, (case, states)
        assert await events(service, payment["payment_id"]) == ["payment.created"], case
        simulator.clear_faults()


@cases(ANSWERS)
async def test_cancellation_closes_the_link_and_says_so(
    service: Harness, simulator: Simulator, answer: dict[str, Any], acted: str
) -> None:
    for (later, said), recovery in ways(acted, "retry", "scheduler"):
        case = f"{later}:{recovery}"
        payment = await service.create()
        path = f"/v1/payments/{payment['payment_id']}/cancel"
        spoil(simulator, answer, acted, path=CANCEL)
        if said:
            simulator.fault(**said, path=LINK, method="GET")

        first = await service.request("POST", path, key=case)
        if recovery == "scheduler":
            await service.advance(LEASE.total_seconds() + 1)
            await service.advance(60)
        last = await repeated(service, path, None, key=case)

        assert first.status_code == 200 or first.json()["retryable"], case
        assert (last.status_code, last.json()["failure_reason"]) == (200, "canceled"), case
        assert await links(service, simulator, payment["payment_id"]) == ["CANCELLED"], case
        told = await events(service, payment["payment_id"])
        assert told == ["payment.created", "payment.failed"], case
        simulator.clear_faults()


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_cancellation_never_fails_a_payment_that_was_paid(
    service: Harness, simulator: Simulator, answer: dict[str, Any]
) -> None:
    for later, said in LATER.items():
        payment = await service.create()
        path = f"/v1/payments/{payment['payment_id']}/cancel"
        simulator.pay(payment["provider_reference"])
        spoil(simulator, answer, "after", path=CANCEL)
        if said:
            simulator.fault(**said, path=LINK, method="GET")

        await service.request("POST", path, key=later)
        last = await repeated(service, path, None, key=later)

        assert (last.status_code, last.json()["current_status"]) == (409, "paid"), later
        told = await events(service, payment["payment_id"])
        assert told == ["payment.created", "payment.paid"], later
        simulator.clear_faults()


@cases(ANSWERS | OF_ANOTHER_PAYOUT)
async def test_refund_is_paid_out_once(
    service: Harness, simulator: Simulator, answer: dict[str, Any], acted: str
) -> None:
    for later, said in (LATER | {"knows-nothing": NO_PAYOUTS}).items():
        payment = await service.create(100)
        simulator.pay(payment["provider_reference"])
        await service.deliver(simulator.webhook(payment["provider_reference"]))
        spoil(simulator, answer, acted, path=PAYOUTS)
        if said:
            simulator.fault(**said, path=PAYOUTS, method="GET")

        made = await service.request(
            "POST",
            f"/v1/payments/{payment['payment_id']}/refunds",
            {"amount": 40, "reason": "other", "destination": {"type": "source"}},
        )
        refunded = await paid_out(service, payment["payment_id"])

        assert refunded["amounts"]["refunded"] == 40, later
        payouts = [
            (payout["amount"], payout["state"])
            for payout in simulator.ledger()["payouts"].values()
            if payout["reference"].startswith(made.json()["refund_id"])
        ]
        assert payouts == [(40, "SUCCEEDED")], later
        simulator.clear_faults()


async def paid_out(service: Harness, payment_id: str) -> dict[str, Any]:
    """Let the scheduler work until a refund is final."""
    for _ in range(TRIES_MAX):
        await service.advance(60)
        payment = await service.get(payment_id)
        if not payment["amounts"]["refund_pending"]:
            return payment
    raise AssertionError(f"not paid out after {TRIES_MAX} looks")


async def repeated(service: Harness, path: str, body: Any, *, key: str) -> Any:
    """Repeat a request with its key until its answer is final, as clients are told to."""
    for _ in range(TRIES_MAX):
        response = await service.request("POST", path, body, key=key)
        if response.status_code < 500 and not response.json().get("retryable"):
            return response
    raise AssertionError(f"no final answer after {TRIES_MAX} tries: {response.text}")
