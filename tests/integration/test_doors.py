"""The doors of the running service: forged and ambiguous webhooks, floods, and the way out."""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from payment_service.api.webhooks import SOURCE_BURST
from payos_simulator import signatures
from tests.support.service import Harness, environment, order, running_service
from tests.support.simulator import PAYMENT, Simulator

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

PREVIOUS_KEY = "the-key-before"


@pytest.fixture
async def locked(simulator: Simulator, database_url: str, tmp_path: Path) -> AsyncIterator[Harness]:
    """A service with every door's lock in use."""
    more = {
        **simulator.environment,
        "PAYOS_CHECKSUM_KEY_PREVIOUS": PREVIOUS_KEY,
        "PAYMENTS_TRUSTED_PROXIES": "127.0.0.1",
        "PAYMENTS_WEBHOOK_SOURCES": "198.51.100.0/24 127.0.0.1",
        "PAYMENTS_RETURN_HOSTS": "shop=shop.example",
        "PAYMENTS_REQUESTS_PER_MINUTE": "30",
    }
    async with running_service(environment(database_url, more)) as harness:
        yield harness


def signed(data: dict[str, Any], key: str = PAYMENT.checksum_key) -> dict[str, Any]:
    return {"data": data, "signature": signatures.of_data(data, key)}


async def paid_link(service: Harness, simulator: Simulator) -> tuple[str, dict[str, Any]]:
    """Pay a payment without telling; return its id and what the webhook would say."""
    payment = await service.create()
    simulator.pay(payment["provider_reference"])
    return payment["payment_id"], dict(simulator.webhook(payment["provider_reference"])["data"])


async def webhook_status(service: Harness) -> list[tuple[str, str]]:
    async with service.service.database.engine.connect() as connection:
        rows = await connection.exec_driver_sql("SELECT status, reason FROM webhook_events")
        return [(status, reason or "") for status, reason in rows]


async def received(service: Harness, payment_id: str) -> int:
    return int((await service.get(payment_id))["amounts"]["received"])


async def test_an_ambiguous_webhook_is_believed_by_nobody_and_its_money_is_found(
    service: Harness, simulator: Simulator
) -> None:
    """A payer may well write an ampersand: the money counts, once, as payOS itself tells it."""
    payment_id, data = await paid_link(service, simulator)
    data |= {"description": "Tom & Jerry", "reference": "FT-MADE-UP"}

    response = await service.deliver(signed(data))

    assert response.status_code == 200
    assert await webhook_status(service) == [("ignored", "ambiguous: the provider is asked")]
    assert await received(service, payment_id) == 45_000
    async with service.service.database.engine.connect() as connection:
        rows = (await connection.exec_driver_sql("SELECT bank_reference FROM receipts")).all()
    assert len(rows) == 1
    assert rows[0] != ("FT-MADE-UP",)


async def test_text_of_a_payer_cannot_move_money_to_another_payment(
    service: Harness, simulator: Simulator
) -> None:
    """The signature of one body, on another body that gives the same signed text."""
    _, honest = await paid_link(service, simulator)
    theirs = await service.create()
    link = simulator.link(theirs["provider_reference"])
    honest["description"] = (
        f"X&orderCode={theirs['provider_reference']}&paymentLinkId={link['id']}"
        f"&reference=F&transactionDateTime={honest['transactionDateTime']}&virtualAccountName="
    )
    forged = dict(honest)
    swallowed = "&".join(
        f"{name}={honest[name]}"
        for name in ("orderCode", "paymentLinkId", "reference", "transactionDateTime",
                     "virtualAccountName")
    )  # fmt: skip
    forged |= {
        "description": "X", "orderCode": int(theirs["provider_reference"]),
        "paymentLinkId": link["id"], "reference": "F", "virtualAccountName": f"&{swallowed}",
    }  # fmt: skip
    assert signatures.of_data(forged, "k") == signatures.of_data(honest, "k")

    response = await service.deliver({"data": forged, "signature": signed(honest)["signature"]})

    assert response.status_code == 200
    assert await received(service, theirs["payment_id"]) == 0


@pytest.mark.parametrize("changes", [{"description": "a=b"}, {"z&a": "b"}, {"zzz": ["a"]}])
async def test_an_ambiguous_webhook_of_nobody_waits_for_an_operator(
    service: Harness, simulator: Simulator, changes: dict[str, Any]
) -> None:
    _, data = await paid_link(service, simulator)
    data |= {"orderCode": 999} | changes

    await service.deliver(signed(data))

    assert await webhook_status(service) == [
        ("dead", "ambiguous, and there is no payment to ask about")
    ]


async def test_both_keys_count_while_they_rotate_and_a_third_does_not(
    locked: Harness, simulator: Simulator
) -> None:
    answers = []
    for key in (PAYMENT.checksum_key, PREVIOUS_KEY, "a-third-key"):
        _, data = await paid_link(locked, simulator)
        answers.append((await locked.deliver(signed(data, key))).status_code)

    assert answers == [200, 200, 401]


async def test_forgers_are_held_off_and_the_provider_is_not(
    locked: Harness, simulator: Simulator
) -> None:
    """From one address, as behind a proxy that we were not told of."""
    payment_id, data = await paid_link(locked, simulator)
    forged = signed(data, "not-the-key")
    answers = [
        await locked.http.post("/v1/webhooks/payos", json=forged) for _ in range(SOURCE_BURST + 2)
    ]

    elsewhere = await locked.http.post(
        "/v1/webhooks/payos", json=forged, headers={"X-Forwarded-For": "198.51.100.7"}
    )
    real = await locked.deliver(signed(data))

    assert [each.status_code for each in answers] == [401] * SOURCE_BURST + [429] * 2
    assert answers[-1].json()["code"] == "RATE_LIMITED"
    assert int(answers[-1].headers["retry-after"]) > 0
    assert elsewhere.status_code == 401
    assert real.status_code == 200
    assert await received(locked, payment_id) == 45_000
    assert len(await webhook_status(locked)) == 2  # one kept as evidence: it is always the same


async def test_webhooks_come_from_where_they_may_come(
    locked: Harness, simulator: Simulator
) -> None:
    _, data = await paid_link(locked, simulator)

    answers = [
        (await locked.http.post(
            "/v1/webhooks/payos", json=signed(data), headers={"X-Forwarded-For": source}
        )).status_code
        for source in ("203.0.113.1", "198.51.100.1, 203.0.113.1", "203.0.113.1, 198.51.100.1")
    ]  # fmt: skip

    assert answers == [404, 404, 200]


async def test_a_replayed_body_is_harmless_for_ever(service: Harness, simulator: Simulator) -> None:
    payment_id, data = await paid_link(service, simulator)
    await service.deliver(signed(data))
    before = await service.get(payment_id)
    await service.advance(400 * 86_400)

    answers = {(await service.deliver(signed(data))).status_code for _ in range(5)}

    assert answers == {200}
    assert await service.get(payment_id) == before


async def test_a_tenant_that_asks_too_much_is_told_when_to_come_back(locked: Harness) -> None:
    body = order()
    first = await locked.request("POST", "/v1/payments", body, key="mine")
    others = [await locked.request("GET", "/v1/payments") for _ in range(5)]

    again = await locked.request("POST", "/v1/payments", body, key="mine")
    another = await locked.request("GET", "/v1/payments", tenant="another")

    assert first.headers["ratelimit-policy"].startswith('"requests";q=5;w=10, ')
    assert first.headers["ratelimit"].startswith('"requests";r=4;t=')
    assert others[-1].headers["ratelimit"].startswith('"requests";r=0;t=')
    assert again.headers["ratelimit"].startswith('"repeats";r=4;t=')
    assert (others[-1].status_code, others[-1].json()["code"]) == (429, "RATE_LIMITED")
    assert 0 < int(others[-1].headers["retry-after"]) <= 2
    assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
    assert another.status_code == 200


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"return_url": "https://evil.example/"}, "/return_url"),
        ({"cancel_url": "http://shop.example/"}, "/cancel_url"),
        ({"description": "my card is 4111 1111 1111 1111"}, "/description"),
        ({"metadata": {"note": "4111111111111111"}}, "/metadata"),
    ],
)
async def test_what_the_contract_cannot_forbid_is_refused_and_not_stored(
    locked: Harness, changes: dict[str, Any], pointer: str
) -> None:
    response = await locked.request("POST", "/v1/payments", order(**changes))

    assert (response.status_code, response.json()["code"]) == (422, "VALIDATION_FAILED")
    assert [fault["pointer"] for fault in response.json()["errors"]] == [pointer]
    async with locked.service.database.engine.connect() as connection:
        assert (await connection.exec_driver_sql("SELECT id FROM payments")).all() == []


class Dialled:
    """Every address that this process connects to, or looks up, while it is listened to."""

    def __init__(self) -> None:
        self.addresses: set[Any] = set()
        self.is_listening = False
        sys.addaudithook(self._hear)  # there is no way to take a hook back

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.is_listening and event == "socket.connect":
            self.addresses.add(arguments[1])
        elif self.is_listening and event == "socket.getaddrinfo":
            self.addresses.add((arguments[0], arguments[1]))

    @contextmanager
    def listening(self) -> Iterator[None]:
        self.is_listening = True
        yield
        self.is_listening = False


DIALLED = Dialled()


async def test_nobody_is_called_but_the_provider(service: Harness, simulator: Simulator) -> None:
    """Not the shop's addresses, nor any that stands in a request, a token or a webhook."""
    with DIALLED.listening():
        payment_id, data = await paid_link(service, simulator)
        await service.deliver(signed(data))
        await service.request(
            "POST", f"/v1/payments/{payment_id}/refunds",
            {"amount": 1000, "reason": "other", "destination": {"type": "source"}},
        )  # fmt: skip
        await service.advance(60)
        await service.request("GET", "/v1/payments", headers={"Referer": "https://evil.example/"})

    provider = urlsplit(simulator.base_url)
    assert {(host, int(port)) for host, port, *_ in DIALLED.addresses} == {
        (provider.hostname, provider.port)
    }
