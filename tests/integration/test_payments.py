"""A payment from the API to paid, through storage, outbox, broker and consumer."""

import pytest

from tests.support.service import Harness, order, token
from tests.support.simulator import Simulator


async def test_payment_is_paid_after_its_webhook(service: Harness, simulator: Simulator) -> None:
    payment = await service.create(45_000)
    simulator.pay(payment["provider_reference"])

    response = await service.deliver(simulator.webhook(payment["provider_reference"]))

    assert (response.status_code, response.json()) == (200, {"success": True})
    paid = await service.get(payment["payment_id"])
    assert paid["status"] == "paid"
    assert paid["amounts"]["received"] == 45_000
    assert paid["checkout_url"] is paid["qr_code"] is paid["qr_url"] is None


async def test_repeated_and_concurrent_webhooks_count_once(
    service: Harness, simulator: Simulator
) -> None:
    payment = await service.create(45_000)
    simulator.pay(payment["provider_reference"])
    webhook = simulator.webhook(payment["provider_reference"])

    responses = [await service.deliver(webhook) for _ in range(5)]

    assert {response.status_code for response in responses} == {200}
    paid = await service.get(payment["payment_id"])
    assert (paid["amounts"]["received"], paid["version"]) == (45_000, 2)


async def test_forged_webhook_is_refused_and_changes_nothing(
    service: Harness, simulator: Simulator
) -> None:
    payment = await service.create()
    simulator.pay(payment["provider_reference"])
    webhook = simulator.webhook(payment["provider_reference"])
    webhook["data"]["amount"] += 1

    response = await service.deliver(webhook)

    assert response.status_code == 401
    assert response.json()["code"] == "WEBHOOK_SIGNATURE_INVALID"
    assert (await service.get(payment["payment_id"]))["amounts"]["received"] == 0


async def test_webhook_of_an_unknown_order_is_acknowledged_and_on_record(
    service: Harness, simulator: Simulator
) -> None:
    payment = await service.create()
    simulator.pay(payment["provider_reference"])
    webhook = simulator.webhook(payment["provider_reference"])
    async with service.service.database.engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE payment_attempts SET order_code = order_code + 1")

    response = await service.deliver(webhook)

    assert response.status_code == 200
    async with service.service.database.engine.connect() as connection:
        rows = (await connection.exec_driver_sql(
            "SELECT disposition, amount FROM receipts"
        )).all()  # fmt: skip
    assert rows == [("unmatched", 45_000)]


async def test_the_same_key_creates_once_and_repeats_the_answer(service: Harness) -> None:
    body = order()
    first = await service.request("POST", "/v1/payments", body, key="once")
    second = await service.request("POST", "/v1/payments", body, key='"once"')
    other = await service.request("POST", "/v1/payments", order(), key="once")

    assert first.status_code == second.status_code == 201
    assert first.content == second.content
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")


async def test_one_live_payment_per_order(service: Harness) -> None:
    payment = await service.create(order_reference="order-x")

    again = await service.request("POST", "/v1/payments", order(order_reference="order-x"))

    assert (again.status_code, again.json()["code"]) == (409, "ORDER_REFERENCE_IN_USE")
    assert again.json()["payment_id"] == payment["payment_id"]


async def test_cancelled_payment_is_closed_at_the_provider(
    service: Harness, simulator: Simulator
) -> None:
    payment = await service.create()
    path = f"/v1/payments/{payment['payment_id']}/cancel"

    response = await service.request("POST", path, {"reason": "out of stock"})
    again = await service.request("POST", path)

    assert response.status_code == 200, response.text
    assert (response.json()["status"], response.json()["failure_reason"]) == ("failed", "canceled")
    assert again.status_code == 200
    assert simulator.link(payment["provider_reference"])["status"] == "CANCELLED"


async def test_cancel_loses_against_money(service: Harness, simulator: Simulator) -> None:
    payment = await service.create()
    simulator.pay(payment["provider_reference"])

    response = await service.request("POST", f"/v1/payments/{payment['payment_id']}/cancel")

    assert response.status_code == 409
    assert response.json()["current_status"] == "paid"
    assert (await service.get(payment["payment_id"]))["status"] == "paid"


async def test_unpaid_payment_expires_and_late_money_is_kept_apart(
    service: Harness, simulator: Simulator
) -> None:
    payment = await service.create(expires_in_seconds=60)

    await service.advance(61)
    expired = await service.get(payment["payment_id"])
    assert simulator.link(payment["provider_reference"])["status"] == "CANCELLED"
    simulator.pay(payment["provider_reference"])
    await service.deliver(simulator.webhook(payment["provider_reference"]))

    assert expired["status"] == "expired"
    late = await service.get(payment["payment_id"])
    assert (late["status"], late["amounts"]["unapplied"]) == ("expired", 45_000)
    assert [entry["code"] for entry in late["exceptions"]] == ["late"]


async def test_lost_webhook_is_made_good_by_asking(service: Harness, simulator: Simulator) -> None:
    payment = await service.create()
    simulator.pay(payment["provider_reference"])

    await service.advance(31)

    assert (await service.get(payment["payment_id"]))["status"] == "paid"


async def test_money_that_nobody_told_of_is_seen_before_a_payment_expires(
    service: Harness, simulator: Simulator
) -> None:
    payment = await service.create(expires_in_seconds=60)
    await service.advance(31)
    simulator.pay(payment["provider_reference"])

    await service.advance(30)

    assert (await service.get(payment["payment_id"]))["status"] == "paid"


async def test_webhook_that_tells_what_was_known_by_asking_changes_nothing(
    service: Harness, simulator: Simulator
) -> None:
    payment = await service.create()
    simulator.pay(payment["provider_reference"])
    webhook = simulator.webhook(payment["provider_reference"])
    await service.advance(31)
    asked = await service.get(payment["payment_id"])

    response = await service.deliver(webhook)

    assert (asked["status"], response.status_code) == ("paid", 200)
    assert await service.get(payment["payment_id"]) == asked
    async with service.service.database.engine.connect() as connection:
        rows = (await connection.exec_driver_sql(
            "SELECT status, attempts FROM webhook_events"
        )).all()  # fmt: skip
    assert rows == [("applied", 0)]


@pytest.mark.parametrize(
    ("amounts", "status", "code"),
    [
        ([20_000], "pending", "underpaid"),
        ([20_000, 25_000], "paid", None),
        ([50_000], "paid", "overpaid"),
        ([45_000, 45_000], "paid", "duplicate_transfer"),
    ],
)
async def test_odd_amounts_are_told_and_kept(
    service: Harness, simulator: Simulator, amounts: list[int], status: str, code: str | None
) -> None:
    payment = await service.create(45_000)

    for amount in amounts:
        simulator.pay(payment["provider_reference"], amount)
        await service.deliver(simulator.webhook(payment["provider_reference"]))

    seen = await service.get(payment["payment_id"])
    assert (seen["status"], seen["amounts"]["received"]) == (status, sum(amounts))
    assert [entry["code"] for entry in seen["exceptions"]] == ([code] if code else [])


async def test_another_tenants_payment_does_not_exist(service: Harness) -> None:
    payment = await service.create()
    path = f"/v1/payments/{payment['payment_id']}"

    foreign = await service.request("GET", path, tenant="other")
    missing = await service.request("GET", "/v1/payments/pay_" + "0" * 26, tenant="other")
    listed = await service.request("GET", "/v1/payments", tenant="other")

    assert foreign.status_code == missing.status_code == 404
    assert {k: v for k, v in foreign.json().items() if k not in {"request_id", "instance"}} == {
        k: v for k, v in missing.json().items() if k not in {"request_id", "instance"}
    }
    assert listed.json() == {"data": [], "next_cursor": None}


async def test_pages_follow_each_other_without_gaps(service: Harness) -> None:
    made = [(await service.create())["payment_id"] for _ in range(5)]
    seen: list[str] = []
    query = "limit=2"
    while True:
        page = (await service.request("GET", f"/v1/payments?{query}")).json()
        seen += [payment["payment_id"] for payment in page["data"]]
        if page["next_cursor"] is None:
            break
        query = f"limit=2&cursor={page['next_cursor']}"

    assert seen == made[::-1]
    other = await service.request("GET", f"/v1/payments?{query}&status=paid")
    assert (other.status_code, other.json()["code"]) == (400, "INVALID_CURSOR")


async def test_qr_code_is_a_public_picture_while_it_can_be_paid(
    service: Harness, simulator: Simulator
) -> None:
    payment = await service.create()
    path = payment["qr_url"].removeprefix("http://payments.test")

    before = await service.http.get(path)
    simulator.pay(payment["provider_reference"])
    await service.deliver(simulator.webhook(payment["provider_reference"]))
    after = await service.http.get(path)

    assert before.headers["content-type"] == "image/png"
    assert before.content.startswith(b"\x89PNG")
    assert after.status_code == 404


@pytest.mark.parametrize(
    ("scope", "status"), [("payments:read", 403), ("", 403), ("payments:write", 201)]
)
async def test_operations_ask_for_their_scope(service: Harness, scope: str, status: int) -> None:
    headers = {"Authorization": f"Bearer {token(scope=scope)}"}

    response = await service.request("POST", "/v1/payments", order(), headers=headers)

    assert response.status_code == status


async def test_timeline_tells_every_change(service: Harness, simulator: Simulator) -> None:
    payment = await service.create()
    simulator.pay(payment["provider_reference"])
    await service.deliver(simulator.webhook(payment["provider_reference"]))

    response = await service.request("GET", f"/v1/payments/{payment['payment_id']}/timeline")

    told = [(entry["action"], entry["actor"]) for entry in response.json()["entries"]]
    assert told == [("payment.created", "client"), ("payment.paid", "webhook")]
