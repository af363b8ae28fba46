"""Who may do what: every operation of the contract against everybody who must not.

The table of calls comes from the contract: an operation that is added is tested the day it is.
"""

import json
import re
from collections.abc import AsyncIterator, Iterator
from importlib.resources import files
from typing import Any

import httpx
import pytest

from generated.api.routes import OPERATIONS
from openapi_runtime.operations import Operation
from tests.support.identity import IdentityProvider, claims, handmade, identity_provider
from tests.support.service import Harness, environment, order, running_service, token
from tests.support.simulator import Simulator

CONTRACT = json.loads((files("generated.api") / "openapi.json").read_text())
OPEN = {
    "getQrCode",
    "receivePayosWebhook",
    "receiveStripeWebhook",
    "getHealth",
}  # each says why in the contract
CLOSED = [operation for operation in OPERATIONS if operation.id not in OPEN]
MISSING = {
    "payment_id": "pay_" + "0" * 26,
    "refund_id": "ref_" + "0" * 26,
    "exception_id": "exc_" + "0" * 26,
}
Ids = dict[str, str]


@pytest.fixture(scope="module")
def identity() -> Iterator[IdentityProvider]:
    with identity_provider() as provider:
        yield provider


@pytest.fixture
async def guarded(
    simulator: Simulator, identity: IdentityProvider, tmp_path: Any
) -> AsyncIterator[Harness]:
    """A service that takes the tokens of an identity provider."""
    more = {
        **simulator.environment,
        "PAYMENTS_AUTH_SECRET": "",
        "PAYMENTS_AUTH_JWKS_URL": identity.url,
        "PAYMENTS_AUTH_ISSUER": claims()["iss"],
    }
    settings = environment(f"sqlite+aiosqlite:///{tmp_path}/payments.db", more)
    async with running_service(settings) as harness:
        yield harness


def example_of(operation: Operation) -> Any:
    """Take the first example of the body from the contract."""
    described = CONTRACT["paths"][operation.path][operation.method.lower()]
    content = described.get("requestBody", {}).get("content", {}).get("application/json", {})
    return next((example["value"] for example in content.get("examples", {}).values()), None)


async def call(
    harness: Harness, operation: Operation, ids: Ids, authorization: str | None, key: str = "key-1"
) -> httpx.Response:
    headers = {"X-Request-Id": "request-of-the-test"}
    if authorization is not None:
        headers["Authorization"] = authorization
    if operation.idempotent:
        headers["Idempotency-Key"] = key
    return await harness.http.request(
        operation.method, operation.path.format_map(ids), json=example_of(operation),
        headers=headers,
    )  # fmt: skip


def intruders(identity: IdentityProvider) -> dict[str, str | None]:
    now = claims()["iat"]
    key = identity.keys[0]
    good = identity.token()
    tokens = {
        "expired": identity.token(iat=now - 700, exp=now - 31),
        "not yet valid": identity.token(nbf=now + 60),
        "for another audience": identity.token(aud="another-service"),
        "of another issuer": identity.token(iss="https://evil.test"),
        "without an end": identity.token(exp=None),
        "good for ever": identity.token(exp=now + 10**9),
        "without a tenant": identity.token(tenant_id=None),
        "without an algorithm": handmade({"alg": "none", "kid": key.name}, claims()),
        "signed with the public key": handmade(
            {"alg": "HS256", "kid": key.name}, claims(), key.public_pem
        ),
        "of an unknown key": identity.token({"kid": "unknown"}),
    }
    return {
        "without a token": None,
        "with an empty token": "Bearer ",
        "with another scheme": f"Basic {good}",
        **{name: f"Bearer {each}" for name, each in tokens.items()},
    }


def test_no_operation_is_open_unless_it_is_listed() -> None:
    """Over the contract itself, not over what was generated from it."""
    without = {
        described["operationId"]
        for path in CONTRACT["paths"].values()
        for method, described in path.items()
        if method in {"get", "post", "put", "patch", "delete"}
        and not described.get("security", CONTRACT.get("security"))
    }

    assert without == OPEN


def test_every_closed_operation_names_a_scope() -> None:
    unscoped = [each.id for each in CLOSED for _, scopes in each.security if not scopes]

    assert unscoped == []
    assert all(each.security for each in CLOSED)


@pytest.mark.parametrize("name", intruders(IdentityProvider()))
async def test_no_operation_takes_a_caller(
    name: str, guarded: Harness, identity: IdentityProvider
) -> None:
    authorization = intruders(identity)[name]

    for operation in CLOSED:
        response = await call(guarded, operation, MISSING, authorization)

        assert response.status_code == 401, operation.id
        assert response.json()["code"] == "UNAUTHENTICATED"
        assert response.headers["www-authenticate"] == "Bearer"
        assert "detail" not in response.json()  # it never says which part was wrong


async def test_no_operation_is_called_without_its_scope(
    guarded: Harness, identity: IdentityProvider
) -> None:
    every = {scope for each in CLOSED for _, scopes in each.security for scope in scopes}

    for operation in CLOSED:
        needed = {scope for _, scopes in operation.security for scope in scopes}
        weak = identity.token(scope=" ".join(sorted(every - needed)))
        response = await call(guarded, operation, MISSING, f"Bearer {weak}")

        assert (response.status_code, response.json()["code"]) == (403, "FORBIDDEN"), operation.id


async def test_a_caller_with_every_right_is_let_in(
    guarded: Harness, identity: IdentityProvider
) -> None:
    for operation in CLOSED:
        response = await call(guarded, operation, MISSING, f"Bearer {identity.token()}")

        assert response.status_code not in {401, 403}, operation.id


async def refunded_payment(service: Harness, simulator: Simulator) -> Ids:
    """Make something of every kind that has an id."""
    payment = await service.create()
    simulator.pay(payment["provider_reference"], payment["amount"] + 1000)
    await service.deliver(simulator.webhook(payment["provider_reference"]))
    path = f"/v1/payments/{payment['payment_id']}"
    open_questions = await service.request(
        "GET", f"/v1/exceptions?payment_id={payment['payment_id']}"
    )
    refund = await service.request(
        "POST", f"{path}/refunds",
        {"amount": 1000, "reason": "other", "destination": {"type": "source"}},
    )  # fmt: skip
    return {
        "payment_id": payment["payment_id"],
        "refund_id": refund.json()["refund_id"],
        "exception_id": open_questions.json()["data"][0]["exception_id"],
        "qr_token": payment["qr_token"],
    }


@pytest.mark.parametrize("operation", [each for each in CLOSED if "{" in each.path],
                         ids=[each.id for each in CLOSED if "{" in each.path])  # fmt: skip
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_belongs_to_another_tenant_does_not_exist(
    operation: Operation, service: Harness, simulator: Simulator
) -> None:
    """Byte for byte, but for the id that was asked for, which is not repeated anyway."""
    ids = await refunded_payment(service, simulator)
    stranger = f"Bearer {token('another')}"

    theirs = await call(service, operation, ids, stranger, key="key-1")
    missing = await call(service, operation, MISSING, stranger, key="key-2")

    assert theirs.status_code == missing.status_code == 404
    assert theirs.content == missing.content
    assert headers_of(theirs) == headers_of(missing)
    assert not re.search("|".join(ids.values()), theirs.text)


def headers_of(response: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name != "date"}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_lists_cursors_and_keys_are_each_tenants_own(
    service: Harness, simulator: Simulator
) -> None:
    body = order()
    ours = await service.request("POST", "/v1/payments", body, key="the-same-key")
    await service.create()
    page = await service.request("GET", "/v1/payments?limit=1")
    cursor = page.json()["next_cursor"]

    theirs = await service.request(
        "POST", "/v1/payments", body, key="the-same-key", tenant="another"
    )
    listed = await service.request("GET", "/v1/payments", tenant="another")
    by_order = await service.request(
        "GET", f"/v1/payments?order_reference={body['order_reference']}", tenant="third"
    )
    followed = await service.request("GET", f"/v1/payments?cursor={cursor}", tenant="another")

    assert ours.status_code == theirs.status_code == 201
    assert ours.json()["payment_id"] != theirs.json()["payment_id"]
    assert "idempotent-replayed" not in theirs.headers
    assert [each["payment_id"] for each in listed.json()["data"]] == [theirs.json()["payment_id"]]
    assert by_order.json()["data"] == []
    assert followed.json()["code"] == "INVALID_CURSOR"
