"""Many at once: refunds of one payment, twins of one request, cancel against pay against expire."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx
import pytest

from payment_service.domain.idempotency import LEASE
from payment_service.domain.payment import TRANSITIONS, PaymentStatus
from payment_service.storage.database import Session
from tests.support.deployment import Deployment, deployment
from tests.support.held import Held
from tests.support.links import PAYABLE, events, links, only_payment, order_codes, rows
from tests.support.service import Harness, environment, order, running_service
from tests.support.simulator import Simulator

PATH = "/v1/payments"
REFUNDS = 200
TWINS = 50
LEAVERS = 10  # of them hang up while their request is served
ROUNDS, AT_ONCE = 200, 10
LATE_SECONDS = 0.4
TRIES_MAX = 60
ACCOUNT = {"type": "bank_account", "bank_bin": "970422", "account_number": "0123456789"}


async def test_of_two_hundred_refunds_that_fit_once_one_is_made(
    service: Harness, simulator: Simulator
) -> None:
    payment = await service.create(100)
    simulator.pay(payment["provider_reference"])
    await service.deliver(simulator.webhook(payment["provider_reference"]))
    path = f"{PATH}/{payment['payment_id']}/refunds"
    body = {"amount": 60, "reason": "other", "destination": ACCOUNT}

    answers = await asyncio.gather(
        *(final(lambda n=n: service.request("POST", path, body, key=f"refund-{n}"))
          for n in range(REFUNDS))
    )  # fmt: skip

    codes = Counter(answer.json().get("code", answer.status_code) for answer in answers)
    assert codes == {201: 1, "REFUND_EXCEEDS_AVAILABLE": REFUNDS - 1}
    await service.settle()
    await service.advance(10)
    refunded = (await service.get(payment["payment_id"]))["amounts"]
    assert (refunded["refunded"], refunded["refund_pending"]) == (60, 0)
    assert len(await rows(service, "SELECT id FROM refunds")) == 1


@pytest.mark.parametrize(
    ("paid", "status", "told"),
    [
        (45_000, "paid", ["payment.created", "payment.paid"]),
        (20_000, "pending", ["payment.created", "payment.receipt"]),
    ],
    ids=["all", "a part"],
)
async def test_money_that_overtakes_the_answer_stays(
    service: Harness,
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    paid: int,
    status: str,
    told: list[str],
) -> None:
    """The link is there, the payer is quick, and the request still waits for payOS's answer."""
    call = Held(service.service.provider.create_payment)
    monkeypatch.setattr(service.service.provider, "create_payment", call)
    creating = asyncio.create_task(service.request("POST", "/v1/payments", order(45_000)))
    await call.answered.wait()
    payment_id = await only_payment(service)
    (code,) = await order_codes(service, payment_id)
    simulator.pay(code, paid)
    await service.deliver(simulator.webhook(code))
    call.leave.set()

    answer = (await creating).json()

    assert (answer["status"], answer["amounts"]["received"]) == (status, paid)
    assert bool(answer["qr_code"]) == (status == "pending")
    assert await service.get(payment_id) == answer
    assert (await events(service, payment_id), answer["version"]) == (told, len(told))


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_cancel_pay_and_expire_lose_no_money_whoever_is_first(
    service: Harness, simulator: Simulator
) -> None:
    rng = random.Random(7)
    ends: Counter[str] = Counter()
    for _ in range(ROUNDS // AT_ONCE):
        raced = [await service.create(45_000, expires_in_seconds=300) for _ in range(AT_ONCE)]
        await service.settle()
        service.clock.advance(timedelta(seconds=rng.choice([0, 301])))
        payers_begin = rng.choice([0, LATE_SECONDS])

        steps = [
            late(step, begin + rng.uniform(0, LATE_SECONDS))
            for payment in raced
            for begin, step in (
                (0, lambda p=payment: service.request("POST", f"{PATH}/{p['payment_id']}/cancel")),
                (payers_begin, lambda p=payment: pay(service, simulator, p["provider_reference"])),
                (0, service.step),
            )
        ]
        await asyncio.gather(*steps)
        await service.advance(LEASE.total_seconds() + 31)

        for payment in raced:
            ends[await checked_end(service, simulator, payment)] += 1

    print(dict(ends))
    assert len(ends) >= 2, "the rounds must not all end alike"


async def checked_end(service: Harness, simulator: Simulator, made: dict[str, Any]) -> str:
    """Check how a raced payment ended: all of its money there, its status told by it."""
    payment = await service.get(made["payment_id"])
    link = simulator.link(made["provider_reference"])
    told = await events(service, made["payment_id"])
    late_money = [entry["code"] for entry in payment["exceptions"]]
    status, amounts = payment["status"], payment["amounts"]
    assert amounts["received"] == link["paid"] == 45_000
    if status == "paid":
        assert (amounts["unapplied"], late_money) == (0, [])
        assert told == ["payment.created", "payment.paid"]
    else:
        assert status in {"expired", "failed"}
        assert (amounts["unapplied"], late_money) == (45_000, ["late"])
        assert told == ["payment.created", f"payment.{status}", "payment.exception"]
        assert link["status"] not in PAYABLE
    assert PaymentStatus(status) in TRANSITIONS[PaymentStatus.PENDING]
    return str(status)


async def test_clocks_that_disagree_cost_patience_never_a_second_link(
    service: Harness,
    simulator: Simulator,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = order()
    arrived, leave = asyncio.Event(), asyncio.Event()
    call = service.service.provider.create_payment

    async def held(request: Any) -> Any:
        answer = await call(request)
        arrived.set()
        await leave.wait()
        return answer

    monkeypatch.setattr(service.service.provider, "create_payment", held)
    async with running_service(environment(database_url, simulator.environment)) as ahead:
        ahead.clock.advance(LEASE * 4)
        behind = asyncio.create_task(service.request("POST", PATH, body, key="skew"))
        await arrived.wait()

        taken_over = await ahead.request("POST", PATH, body, key="skew")
        leave.set()
        late_owner = await behind

    again = await service.request("POST", PATH, body, key="skew")
    assert taken_over.status_code == 201
    assert late_owner.json()["code"] == "IDEMPOTENCY_IN_PROGRESS"
    assert again.content == taken_over.content
    states = await links(service, simulator, taken_over.json()["payment_id"])
    assert states == ["CANCELLED", "PENDING"]


@pytest.fixture
def two_apis(
    tmp_path: Path, mysql_server: Any, simulator: Simulator
) -> Iterator[tuple[Deployment, Deployment]]:
    """Two processes of the API on one MySQL."""
    name = f"test_{token_hex(8)}"
    options: Any = {
        "database_url": mysql_server.create_database(name),
        "broker_url": "memory://",
        "simulator": simulator,
    }
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    with deployment(folders[0], **options) as one, deployment(folders[1], **options) as two:
        for each in (one, two):
            each.start("api")
        yield one, two
        assert one.command("audit").returncode == 0
    mysql_server.drop_database(name)


@pytest.mark.stack
@pytest.mark.slow
async def test_twins_at_two_processes_make_one_payment_and_get_one_answer(
    two_apis: tuple[Deployment, Deployment], simulator: Simulator
) -> None:
    body, before = order(), set(simulator.ledger()["links"])
    simulator.fault("slow", path="/v2/payment-requests", method="POST", seconds=1.5)
    headers = {"Authorization": f"Bearer {two_apis[0].token}", "Idempotency-Key": "twins"}
    first: list[httpx.Response] = []

    async def ask(client: httpx.AsyncClient, number: int) -> httpx.Response:
        url = two_apis[number % 2].url + PATH
        if number < LEAVERS:
            await hang_up(client, url, body, headers)
        first.append(await client.post(url, json=body, headers=headers))
        return await final(lambda: client.post(url, json=body, headers=headers))

    async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
        answers = await asyncio.gather(*(ask(client, number) for number in range(TWINS)))

    made = set(simulator.ledger()["links"]) - before
    assert len(made) == 1
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    told = Counter(response.status_code for response in first)
    assert set(told) <= {201, 409}
    assert told[409] > 0
    print({"first answers": dict(told), "links": len(made)})


async def test_a_call_inside_a_unit_of_work_is_noticed(service: Harness) -> None:
    """The watch over all tests of this kind bites."""
    provider = service.service.provider
    await service.create()
    ((code,),) = await rows(service, "SELECT order_code FROM payment_attempts")

    async def ask(_session: Session) -> None:
        await provider.get_payment(code)

    await provider.get_payment(code)
    outside = list(service.units.found)
    await service.service.database.transact("careless", ask)
    inside = list(service.units.found)
    service.units.found.clear()

    assert (outside, inside) == ([], [("careless", "get_payment")])


async def pay(service: Harness, simulator: Simulator, link: str) -> None:
    """Pay a link, and have payOS tell of it."""
    await asyncio.to_thread(simulator.pay, link)
    webhook = await asyncio.to_thread(simulator.webhook, link)
    response = await service.http.post("/v1/webhooks/payos", json=webhook)
    assert response.status_code == 200


async def hang_up(
    client: httpx.AsyncClient, url: str, body: dict[str, Any], headers: dict[str, str]
) -> None:
    """Leave while the request is served, unless it was answered at once."""
    with contextlib.suppress(httpx.ReadTimeout):
        await client.post(url, json=body, headers=headers, timeout=httpx.Timeout(10, read=0.3))


async def late(step: Callable[[], Awaitable[Any]], seconds: float) -> None:
    """Let a step begin a little later, so that no two rounds are alike."""
    await asyncio.sleep(seconds)
    await step()


async def final(ask: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """Repeat a request until its answer is final, as clients are told to."""
    for _ in range(TRIES_MAX):
        response = await ask()
        if not response.json().get("retryable"):
            return response
        await asyncio.sleep(random.uniform(0, 0.5))
    raise AssertionError(f"no final answer: {response.text}")
