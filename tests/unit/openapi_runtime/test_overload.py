"""More requests than can be answered in time: some are turned away at once, the rest are served."""

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


async def test_what_is_too_much_is_told_at_once_when_to_come_back(
    stub: Stub, gate: asyncio.Event
) -> None:
    app = make_app(stub, in_progress_max=MAX)
    served = [asyncio.create_task(call(app, *GET)) for _ in range(MAX)]
    await asyncio.sleep(0)  # each is with its handler now

    refused = await call(app, *GET)
    gate.set()

    assert (refused.status, refused.json["code"]) == (503, "OVERLOADED")
    assert refused.headers["retry-after"] == "1"
    assert [(await each).status for each in served] == [200] * MAX
    assert len(stub.calls) == MAX
    assert (await call(app, *GET)).status == 200


async def test_one_operation_takes_no_place_of_another(stub: Stub, gate: asyncio.Event) -> None:
    app = make_app(stub, in_progress_max=1)
    reading = asyncio.create_task(call(app, *GET))
    await asyncio.sleep(0)

    assert (await call(app, *GET)).status == 503
    assert (await call(app, *CREATE)).status == 201
    assert (await call(app, "POST", "/v1/webhooks/payos", JSON, HOOK)).status == 200
    gate.set()
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
    app = make_app(stub, in_progress_max=MAX)
    scopes = [make_scope("POST", "/v1/webhooks/payos", JSON) for _ in range(2 * MAX)]
    sending = [asyncio.create_task(app(scope, receive, send)) for scope in scopes]
    await asyncio.sleep(0)  # each was let in, for nobody is with the handler yet
    body.set()
    for _ in range(10):  # turns of the loop: whoever comes to the handler waits there
        await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*sending)

    assert entered == MAX
    assert sorted(statuses) == [200] * MAX + [503] * MAX
