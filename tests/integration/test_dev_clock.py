"""The clock of `dev`: set on together with the bank's, and all that is due is done at once."""

from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from payment_service.bootstrap import ALL_ROLES, Role, Workers
from payment_service.development import KeptClock, dev_clock
from payment_service.workers import dev_clock as clock_module, scheduler
from tests.support.service import Harness, environment, running_service
from tests.support.simulator import Simulator, running_simulator

ACCOUNT = {"type": "bank_account", "bank_bin": "970422", "account_number": "0123456789"}
DAY_SECONDS = 86_400
REFUSED = (
    b"", b"{}", b"[]", b"{", b'{"advance_seconds": -1}', b'{"advance_seconds": 1e12}',
    b'{"advance_seconds": "1"}', b'{"now": "2020-01-01T00:00:00Z"}',
    b'{"now": "2099-01-01T00:00:00"}', b'{"advance_seconds": 1, "now": "2099-01-01T00:00:00Z"}',
    b'{"seconds": 1}', b" " * 2000,
)  # fmt: skip


@pytest.fixture
def bank() -> Iterator[Simulator]:
    """A simulator of our own: its clock is set on, which nobody else's tests may notice."""
    with running_simulator() as simulator:
        yield simulator


@pytest.fixture
async def service(bank: Simulator, tmp_path: Path) -> AsyncIterator[Harness]:
    url = f"sqlite+aiosqlite:///{tmp_path}/payments.db"
    async with running_service(environment(url, bank.environment)) as harness:
        yield harness
        assert await harness.violations() == []


def ops(service: Harness, bank_url: str) -> httpx.AsyncClient:
    shared = service.service
    workers = Workers(shared.consumer(), shared.relay(), shared.scheduler())
    app = dev_clock(shared.ops(ALL_ROLES), shared, workers, service.clock, bank_url)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ops")


@pytest.fixture
async def operators(service: Harness, bank: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    async with ops(service, bank.base_url) as client:
        yield client


async def advance(operators: httpx.AsyncClient, seconds: float) -> dict[str, Any]:
    response = await operators.post("/dev/clock", json={"advance_seconds": seconds})
    assert response.status_code == 200, response.text
    assert response.json()["idle"] is True
    return dict(response.json())


async def test_payment_expires_when_the_clock_is_set_on(
    service: Harness, bank: Simulator, operators: httpx.AsyncClient
) -> None:
    payment = await service.create(expires_in_seconds=900)

    await advance(operators, 901)

    assert (await service.get(payment["payment_id"]))["status"] == "expired"
    assert bank.link(payment["provider_reference"])["status"] == "EXPIRED"  # by its own clock
    types = [message.value for message in service.published.published]
    assert any(b"payment.expired" in value for value in types)


async def test_refund_is_retried_when_the_clock_is_set_on(
    service: Harness, bank: Simulator, operators: httpx.AsyncClient
) -> None:
    payment = await service.create(100)
    bank.pay(payment["provider_reference"])
    await advance(operators, 31)
    bank.modes(wallet=0)
    path = f"/v1/payments/{payment['payment_id']}/refunds"
    body = {"amount": 40, "reason": "other", "destination": ACCOUNT}
    refund = (await service.request("POST", path, body)).json()
    await advance(operators, 0)
    waiting = (await service.request("GET", f"{path}/{refund['refund_id']}")).json()
    bank.modes(wallet=1000)

    await advance(operators, 3600)
    await advance(operators, 3600)

    done = (await service.request("GET", f"{path}/{refund['refund_id']}")).json()
    assert (waiting["pending_reason"], done["status"]) == ("insufficient_funds", "succeeded")


async def test_old_answers_and_messages_are_forgotten_when_the_clock_is_set_on(
    service: Harness, operators: httpx.AsyncClient
) -> None:
    await service.create(expires_in_seconds=900)

    await advance(operators, 901)
    kept = await counts(service)
    await advance(operators, 8 * DAY_SECONDS)
    without_messages = await counts(service)
    await advance(operators, 31 * DAY_SECONDS)

    assert kept == {"outbox_events": 2, "idempotency_keys": 1}
    assert without_messages == {"outbox_events": 0, "idempotency_keys": 1}
    assert await counts(service) == {"outbox_events": 0, "idempotency_keys": 0}


async def counts(service: Harness) -> dict[str, int]:
    found = {}
    async with service.service.database.engine.connect() as connection:
        for table in ("outbox_events", "idempotency_keys"):
            rows = await connection.exec_driver_sql(f"SELECT COUNT(*) FROM {table}")
            found[table] = rows.scalar_one()
    return found


async def test_clock_tells_the_time_and_is_set_to_one(
    service: Harness, bank: Simulator, operators: httpx.AsyncClient
) -> None:
    before = (await operators.get("/dev/clock")).json()
    wanted = datetime.fromisoformat(before["now"]) + timedelta(days=1)

    response = await operators.post("/dev/clock", json={"now": wanted.isoformat()})

    assert response.status_code == 200, response.text
    after = (await operators.get("/dev/clock")).json()
    assert datetime.fromisoformat(after["now"]) >= wanted
    assert DAY_SECONDS - 60 < after["ahead_seconds"] - before["ahead_seconds"] <= DAY_SECONDS
    apart = service.clock() - datetime.fromisoformat(bank.ledger()["now"])
    assert abs(apart) < timedelta(seconds=60)


async def test_clock_moves_only_forward_and_only_as_it_is_told(
    service: Harness, operators: httpx.AsyncClient
) -> None:
    headers = {"content-type": "application/json"}

    answers = {
        body: await operators.post("/dev/clock", content=body, headers=headers) for body in REFUSED
    }

    assert {body: answer.status_code for body, answer in answers.items()} == dict.fromkeys(
        REFUSED, 400
    )
    assert all(answer.json()["error"] for answer in answers.values())
    assert service.clock.offset == timedelta()


async def test_pages_in_the_developers_browser_cannot_move_it(
    service: Harness, operators: httpx.AsyncClient
) -> None:
    headers = {"content-type": "text/plain"}  # what a page may send without asking

    response = await operators.post(
        "/dev/clock", content=b'{"advance_seconds": 1}', headers=headers
    )

    assert response.status_code == 415
    assert service.clock.offset == timedelta()


async def test_nothing_moves_when_the_bank_does_not_answer(service: Harness) -> None:
    async with ops(service, "http://127.0.0.1:1") as operators:
        response = await operators.post("/dev/clock", json={"advance_seconds": 60})

    assert response.status_code == 502
    assert service.clock.offset == timedelta()


async def test_wait_for_what_is_due_has_a_bound(
    service: Harness, bank: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock_module, "SETTLE_SECONDS", 0.2)
    monkeypatch.setattr(scheduler, "RECONCILE_CALLS_BURST", 0)
    await service.create(expires_in_seconds=900)

    async with ops(service, bank.base_url) as operators:
        response = await operators.post("/dev/clock", json={"advance_seconds": 901})

    assert (response.status_code, response.json()["idle"]) == (200, False)


async def test_no_role_has_the_clock(service: Harness) -> None:
    for roles in [*(frozenset({role}) for role in Role), ALL_ROLES]:
        transport = httpx.ASGITransport(service.service.ops(roles))
        async with httpx.AsyncClient(transport=transport, base_url="http://ops") as operators:
            read = await operators.get("/dev/clock")
            moved = await operators.post("/dev/clock", json={"advance_seconds": 1})

        assert (read.status_code, moved.status_code) == (404, 405)


def test_restart_does_not_set_the_clock_back(tmp_path: Path) -> None:
    path = tmp_path / "var" / "clock"
    KeptClock(path).advance(timedelta(seconds=90.5))

    assert KeptClock(path).offset == timedelta(seconds=90.5)
