"""More requests than can be answered in time: some are turned away at once, the rest are served."""

import asyncio
from typing import Any

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
    call,
    make_app,
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
