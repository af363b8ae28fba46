"""What a key promises: one effect, one answer, for its tenant, its request and its time."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from payment_service.domain.idempotency import LEASE, RETENTION, IdempotentRequest, StoredResponse
from payment_service.storage import idempotency
from payment_service.storage.database import Session
from payment_service.storage.idempotency import Claim
from tests.support.death import death_at
from tests.support.links import rows
from tests.support.service import Harness, order, token
from tests.support.simulator import Simulator

PATH = "/v1/payments"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ([], "IDEMPOTENCY_KEY_MISSING"),
        ([""], "IDEMPOTENCY_KEY_INVALID"),
        (['""'], "IDEMPOTENCY_KEY_INVALID"),
        (["k" * 256], "IDEMPOTENCY_KEY_INVALID"),
        (["two words"], "IDEMPOTENCY_KEY_INVALID"),
        (['"a";b=1'], "IDEMPOTENCY_KEY_INVALID"),
        (['"a", "b"'], "IDEMPOTENCY_KEY_INVALID"),
        (["back\\slash"], "IDEMPOTENCY_KEY_INVALID"),
        (['"open'], "IDEMPOTENCY_KEY_INVALID"),
        (["kéy"], "IDEMPOTENCY_KEY_INVALID"),
        (["a", "a"], "IDEMPOTENCY_KEY_INVALID"),
    ],
)
async def test_unfit_keys_are_refused(service: Harness, sent: list[str], code: str) -> None:
    headers = [("authorization", f"Bearer {token()}".encode())]
    headers += [("idempotency-key", key.encode("latin-1")) for key in sent]

    response = await service.http.post(PATH, json=order(), headers=headers)

    assert (response.status_code, response.json()["code"]) == (400, code)


@pytest.mark.parametrize("key", ["k" * 255, "!#$%&'()*+,-./:;<=>?@[]^_`{|}~", "0"])
async def test_every_visible_character_makes_a_key(service: Harness, key: str) -> None:
    body = order()

    first = await service.request("POST", PATH, body, key=key)
    quoted = await service.request("POST", PATH, body, key=f'"{key}"')

    assert (first.status_code, quoted.content) == (201, first.content)


async def test_replay_is_the_same_to_the_byte_and_says_that_it_is_one(service: Harness) -> None:
    body = order()
    first = await service.request("POST", PATH, body, key="replay")
    await service.request("POST", f"{PATH}/{first.json()['payment_id']}/cancel")

    again = await service.request("POST", PATH, body, key="replay")

    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert kept(again) == kept(first)
    assert again.json()["status"] == "pending", "a snapshot of then, not of now"
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"


async def test_key_covers_what_was_meant_not_how_it_was_spelled(service: Harness) -> None:
    first = await post(service, "spelled", '{"amount":45000,"currency":"VND",' + REST)
    again = await post(service, "spelled", '{ "currency":"\\u0056ND", "amount":4.5e4,' + REST)
    other = await post(service, "spelled", '{"amount":45001,"currency":"VND",' + REST)

    assert (again.status_code, again.content) == (201, first.content)
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")


async def test_member_with_its_default_is_not_taken_for_the_same_request(service: Harness) -> None:
    """Over the raw body: what the model fills in makes neither a match nor a mismatch."""
    body = order()

    await service.request("POST", PATH, body, key="raw")
    other = await service.request("POST", PATH, body | {"metadata": {}}, key="raw")

    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")


async def test_key_belongs_to_the_tenant_not_to_the_credential(service: Harness) -> None:
    body = order()
    first = await service.request("POST", PATH, body, key="whose")

    rotated = {"Authorization": f"Bearer {token(user_id='another service')}"}
    same = await service.request("POST", PATH, body, key="whose", headers=rotated)
    foreign = await service.request("POST", PATH, body, key="whose", tenant="other")

    assert same.content == first.content
    assert foreign.status_code == 201
    assert foreign.json()["payment_id"] != first.json()["payment_id"]


async def test_key_of_another_operation_or_resource_is_refused(service: Harness) -> None:
    one = await service.request("POST", PATH, order(), key="where")
    two = await service.create()
    cancel = f"{PATH}/{one.json()['payment_id']}/cancel"
    elsewhere = await service.request("POST", cancel, key="where")

    done = await service.request("POST", cancel, key="which")
    another = await service.request("POST", f"{PATH}/{two['payment_id']}/cancel", key="which")

    assert (elsewhere.status_code, elsewhere.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert done.status_code == 200
    assert (another.status_code, another.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert (await service.get(two["payment_id"]))["status"] == "pending"


async def test_keys_are_compared_byte_by_byte(service: Harness) -> None:
    made = [await service.request("POST", PATH, order(), key=key) for key in ("Key", "KEY", "key")]

    assert [response.status_code for response in made] == [201] * 3
    assert len({response.json()["payment_id"] for response in made}) == 3


async def test_refusal_before_the_claim_leaves_the_key_unused(service: Harness) -> None:
    body, path = order(), f"{PATH}/pay_{'0' * 26}/cancel"
    refused = [
        await service.request("POST", PATH, body | {"amount": 0}, key="later"),
        await service.request("POST", PATH, {}, key="later"),
        await service.request("POST", path, key="later"),
        await service.request("POST", PATH, body, key="later", headers={"Authorization": "no"}),
        await service.request(
            "POST", PATH, body, key="later", headers={"Authorization": f"Bearer {token(scope='')}"}
        ),
    ]

    corrected = await service.request("POST", PATH, body, key="later")

    assert [response.status_code for response in refused] == [422, 422, 404, 401, 403]
    assert (corrected.status_code, "idempotent-replayed" in corrected.headers) == (201, False)


async def test_definite_refusal_after_the_claim_is_kept(service: Harness) -> None:
    live = await service.create(order_reference="taken")
    body = order(order_reference="taken")
    refused = await service.request("POST", PATH, body, key="refused")
    await service.request("POST", f"{PATH}/{live['payment_id']}/cancel")

    again = await service.request("POST", PATH, body, key="refused")
    anew = await service.request("POST", PATH, body, key="anew")

    assert refused.json()["code"] == "ORDER_REFERENCE_IN_USE"
    assert (again.status_code, again.content) == (409, refused.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert anew.status_code == 201


async def test_trouble_of_ours_or_the_providers_is_never_kept(
    service: Harness, simulator: Simulator
) -> None:
    body = order()
    simulator.fault("status", path="/v2/payment-requests", method="POST", status=500, times=2)
    failed = await service.request("POST", PATH, body, key="resumed")

    resumed = await service.request("POST", PATH, body, key="resumed")

    assert (failed.status_code, failed.json()["retryable"]) == (503, True)
    assert "retry-after" in failed.headers
    assert resumed.status_code == 201
    assert len(await rows(service, "SELECT id FROM payments")) == 1


async def test_cancel_by_another_key_tells_how_it_stands(
    service: Harness, simulator: Simulator
) -> None:
    payment = await service.create()
    path = f"{PATH}/{payment['payment_id']}/cancel"
    first = await service.request("POST", path, {"reason": "sold out"}, key="first")

    same = await service.request("POST", path, {"reason": "sold out"}, key="first")
    other = await service.request("POST", path, key="other")
    paid = await service.create()
    simulator.pay(paid["provider_reference"])
    await service.deliver(simulator.webhook(paid["provider_reference"]))
    late = await service.request("POST", f"{PATH}/{paid['payment_id']}/cancel", key="late")
    again = await service.request("POST", f"{PATH}/{paid['payment_id']}/cancel", key="late")

    assert (same.content, same.headers["idempotent-replayed"]) == (first.content, "true")
    assert (other.status_code, other.json()["failure_reason"]) == (200, "canceled")
    assert (late.status_code, late.json()["code"]) == (409, "INVALID_STATE_TRANSITION")
    assert (again.status_code, again.content) == (409, late.content)


async def test_keys_are_forgotten_after_thirty_days_and_orders_still_protect(
    service: Harness,
) -> None:
    body = order(order_reference="protected")
    first = await service.request("POST", PATH, body, key="old")
    ((completed_at,),) = await rows(service, "SELECT completed_at FROM idempotency_keys")
    end = datetime.fromisoformat(str(completed_at)).replace(tzinfo=UTC) + RETENTION

    early = await purge(service, now=end)
    replayed = await service.request("POST", PATH, body, key="old")
    purged = await purge(service, now=end + timedelta(seconds=1))
    executed = await service.request("POST", PATH, body, key="old")

    assert (early, replayed.content) == (0, first.content)
    assert (purged, executed.status_code) == (1, 409)
    assert executed.json()["code"] == "ORDER_REFERENCE_IN_USE"
    assert executed.json()["payment_id"] == first.json()["payment_id"]


async def test_what_is_not_answered_is_never_forgotten(service: Harness) -> None:
    payment = await service.create()
    with death_at("provider.cancel:before"):
        await service.request("POST", f"{PATH}/{payment['payment_id']}/cancel", key="unanswered")

    purged = await purge(service, now=service.clock() + RETENTION * 2)

    left = await rows(service, "SELECT state FROM idempotency_keys")
    assert (purged, left) == (1, [("in_progress",)])


async def test_purging_is_bounded_and_goes_on_until_all_is_done(service: Harness) -> None:
    database, now = service.service.database, service.clock()

    async def fill(session: Session) -> None:
        for number in range(7):
            request = IdempotentRequest(
                tenant_id="shop", key=f"old-{number}", operation="o", fingerprint="f"
            )
            held = await idempotency.claim(session, request, resource_id="r", now=now)
            assert isinstance(held, Claim)
            await idempotency.complete(session, held, StoredResponse(200, {}, b"{}"), now=now)

    await database.transact("test", fill)
    later = now + RETENTION + timedelta(seconds=1)
    counts = [await purge(service, now=later, limit=3) for _ in range(4)]

    assert counts == [3, 3, 1, 0]


async def test_lease_is_longer_than_a_request_and_is_renewed_by_every_step(
    service: Harness,
) -> None:
    database, now = service.service.database, service.clock()
    request = IdempotentRequest(tenant_id="shop", key="k", operation="o", fingerprint="f")

    async def take(session: Session) -> Claim:
        held = await idempotency.claim(session, request, resource_id="r", now=now)
        assert isinstance(held, Claim)
        return held

    held = await database.transact("test", take)
    await database.transact(
        "test", lambda session: idempotency.extend(session, held, now=now + LEASE / 2)
    )

    found = [
        await database.read(
            lambda session, at=at: idempotency.list_abandoned(session, "o", now=at, limit=10)
        )
        for at in (now + LEASE, now + LEASE * 1.5)
    ]

    assert found == [[], ["r"]]


REST = (
    '"order_reference":"order-s","return_url":"https://shop.example/t",'
    '"cancel_url":"https://shop.example/c"}'
)


async def post(service: Harness, key: str, body: str) -> httpx.Response:
    """Post a body as it is written."""
    headers = {
        "authorization": f"Bearer {token()}",
        "idempotency-key": key,
        "content-type": "application/json",
    }
    return await service.http.post(PATH, content=body.encode(), headers=headers)


def kept(response: httpx.Response) -> dict[str, str]:
    """What a replay must repeat of the headers."""
    of_the_moment = {"x-request-id", "idempotent-replayed", "date"}
    return {name: value for name, value in response.headers.items() if name not in of_the_moment}


async def purge(service: Harness, *, now: datetime, limit: int = 100) -> int:
    """Forget what is old, as the scheduler does."""
    return await service.service.database.transact(
        "test", lambda session: idempotency.purge(session, now=now, limit=limit)
    )
