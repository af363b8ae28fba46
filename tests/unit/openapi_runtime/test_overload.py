"""More requests than have a place with the handler wait in line, and not for ever."""

import asyncio
from typing import Any

import msgspec
import pytest

from tests.contract.stub_service import (
    CREDENTIALS,
    HOOK,
    JSON,
    PAY,
    PAYMENT_ID,
    WRITE,
    Payments,
    Stub,
    Webhooks,
    call,
    make_app,
    make_scope,
)

GET = ("GET", f"/v1/payments/{PAYMENT_ID}", CREDENTIALS)
CREATE = ("POST", "/v1/payments", WRITE, PAY)
MAX = 3
CROWD = 4096  # as many as there may be connections, and places in line


@pytest.fixture
def stub() -> Stub:
    return Stub()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Hold every reading of a payment up until this is set."""
    gate = asyncio.Event()
    answer = Payments.get_payment

    async def wait(self: Payments, context: Any, /, *, payment_id: str) -> Any:
        await gate.wait()
        return await answer(self, context, payment_id=payment_id)

    monkeypatch.setattr(Payments, "get_payment", wait)
    return gate


async def let_all_go_on() -> None:
    """Give every request its turns of the loop, until it waits for something."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_who_finds_no_place_waits_in_line_and_is_served_in_turn(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = asyncio.Queue[asyncio.Event]()
    answer = Payments.get_payment

    async def wait(self: Payments, context: Any, /, *, payment_id: str) -> Any:
        leave = asyncio.Event()
        places.put_nowait(leave)
        await leave.wait()
        return await answer(self, context, payment_id=payment_id)

    monkeypatch.setattr(Payments, "get_payment", wait)
    app = make_app(stub, reads_in_progress_max=MAX)
    served: list[int] = []

    async def ask(number: int) -> None:
        assert (await call(app, *GET)).status == 200
        served.append(number)

    asked = [asyncio.create_task(ask(number)) for number in range(3 * MAX)]
    await let_all_go_on()
    assert places.qsize() == MAX
    for _ in asked:
        (await places.get()).set()
        await let_all_go_on()
        assert places.qsize() <= MAX
    await asyncio.gather(*asked)

    assert served == list(range(3 * MAX))


async def test_who_waits_too_long_is_told_when_to_come_back(
    stub: Stub, gate: asyncio.Event
) -> None:
    app = make_app(stub, reads_in_progress_max=MAX, patience_seconds=0.05)
    served = [asyncio.create_task(call(app, *GET)) for _ in range(MAX)]
    await let_all_go_on()

    refused = await call(app, *GET)

    assert (refused.status, refused.json["code"]) == (503, "OVERLOADED")
    assert refused.headers["retry-after"] == "1"
    gate.set()
    assert [(await each).status for each in served] == [200] * MAX
    assert len(stub.calls) == MAX


async def test_nobody_is_turned_away_for_the_length_of_the_line(
    stub: Stub, gate: asyncio.Event
) -> None:
    app = make_app(stub, reads_in_progress_max=1, patience_seconds=60)
    served = [asyncio.create_task(call(app, *GET)) for _ in range(CROWD)]
    await let_all_go_on()

    assert not any(each.done() for each in served)
    gate.set()
    assert [(await each).status for each in served] == [200] * CROWD


async def test_those_who_hung_up_do_not_make_the_line_endless(
    stub: Stub, gate: asyncio.Event
) -> None:
    app = make_app(stub, reads_in_progress_max=1, in_line_max=MAX, patience_seconds=60)

    for _ in range(2):  # whoever was served has left the line
        gate.clear()
        served = [asyncio.create_task(call(app, *GET)) for _ in range(1 + MAX)]
        await let_all_go_on()
        async with asyncio.timeout(5):
            refused = await call(app, *GET)
        gate.set()

        assert (refused.status, refused.json["code"]) == (503, "OVERLOADED")
        assert [(await each).status for each in served] == [200] * (1 + MAX)


async def test_nobody_is_turned_away_because_others_waited_in_vain(
    stub: Stub, gate: asyncio.Event
) -> None:
    app = make_app(stub, reads_in_progress_max=1, patience_seconds=0.5)
    served = [asyncio.create_task(call(app, *GET))]
    await let_all_go_on()
    assert (await call(app, *GET)).status == 503

    served += [asyncio.create_task(call(app, *GET)) for _ in range(MAX)]
    await let_all_go_on()
    gate.set()

    assert [(await each).status for each in served] == [200] * (MAX + 1)


async def test_one_operation_takes_no_place_of_another(stub: Stub, gate: asyncio.Event) -> None:
    app = make_app(stub, in_progress_max=1, reads_in_progress_max=1, patience_seconds=0)
    reading = asyncio.create_task(call(app, *GET))
    await let_all_go_on()

    assert (await call(app, *GET)).status == 503
    assert (await call(app, *CREATE)).status == 201
    assert (await call(app, "POST", "/v1/webhooks/payos", JSON, HOOK)).status == 200
    gate.set()
    assert (await reading).status == 200


async def test_reads_have_places_of_their_own_number(
    stub: Stub, gate: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = Payments.create_payment

    async def wait(self: Payments, context: Any, /, *, body: Any, idempotency_key: str) -> Any:
        await gate.wait()
        return await answer(self, context, body=body, idempotency_key=idempotency_key)

    monkeypatch.setattr(Payments, "create_payment", wait)
    app = make_app(stub, in_progress_max=MAX, reads_in_progress_max=1, patience_seconds=0)
    creating = [asyncio.create_task(call(app, *CREATE)) for _ in range(MAX)]
    reading = asyncio.create_task(call(app, *GET))
    await let_all_go_on()

    assert (await call(app, *GET)).status == 503
    assert (await call(app, *CREATE)).status == 503
    gate.set()
    assert [(await each).status for each in creating] == [201] * MAX
    assert (await reading).status == 200


async def test_who_sends_slowly_takes_no_place(stub: Stub) -> None:
    app = make_app(stub, in_progress_max=1)
    body = asyncio.Event()

    async def slowly(*_arguments: Any) -> Any:
        await body.wait()
        return {"type": "http.disconnect"}

    scope = {
        "type": "http", "method": "POST", "path": "/v1/webhooks/payos", "query_string": b"",
        "headers": [(b"content-type", b"application/json")], "client": ("192.0.2.1", 1),
    }  # fmt: skip
    sending = asyncio.create_task(app(scope, slowly, slowly))
    await asyncio.sleep(0)

    assert (await call(app, "POST", "/v1/webhooks/payos", JSON, HOOK)).status == 200
    body.set()
    await sending


async def test_bodies_that_come_all_at_once_do_not_pass_the_bound(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, body, entered, statuses = asyncio.Event(), asyncio.Event(), 0, []
    answer = Webhooks.receive_payos_webhook

    async def wait(self: Webhooks, context: Any, /, *, body: Any) -> Any:
        nonlocal entered
        entered += 1
        await gate.wait()
        return await answer(self, context, body=body)

    async def receive() -> Any:
        await body.wait()
        return {"type": "http.request", "body": msgspec.json.encode(HOOK), "more_body": False}

    async def send(message: Any) -> None:
        statuses.extend([message["status"]] if "status" in message else [])

    monkeypatch.setattr(Webhooks, "receive_payos_webhook", wait)
    app = make_app(stub, in_progress_max=MAX, patience_seconds=0.01)
    scopes = [make_scope("POST", "/v1/webhooks/payos", JSON) for _ in range(2 * MAX)]
    sending = [asyncio.create_task(app(scope, receive, send)) for scope in scopes]
    await let_all_go_on()
    body.set()
    refused, waiting = sending[MAX:], sending[:MAX]
    await asyncio.wait_for(asyncio.gather(*refused), timeout=5)
    gate.set()
    await asyncio.gather(*waiting)

    assert entered == MAX
    assert sorted(statuses) == [200] * MAX + [503] * MAX
