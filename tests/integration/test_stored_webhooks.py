"""Webhooks of every version, stored as they once came, are read and applied by today's code.

The corpus only grows: `<version>/<name>.json` is a body byte for byte, `<version>.expected.json`
says what becomes of it and of a payment of 45,000 VND with its order code. Payers are invented.
"""

import hashlib
import json
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from payment_service.domain.ids import new_id
from payment_service.storage import webhooks
from tests.support.commands import Commands
from tests.support.service import Harness, environment, running_service
from tests.support.simulator import Simulator
from tests.support.stripe_simulator import StripeSimulator

CORPUS = Path(__file__).parents[1] / "fixtures" / "webhooks"
ORDER_CODE = 7_700_000_000_000_001
LINKS = {"payos": "0123456789abcdef0123456789abcdef", "stripe": str(ORDER_CODE)}
BODIES = sorted(CORPUS.glob("*/v*/*.json"))


def expected(version: Path) -> dict[str, Any]:
    return dict(json.loads(version.with_suffix(".expected.json").read_text()))


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """What a body means does not depend on the database."""
    return f"sqlite+aiosqlite:///{tmp_path}/payments.db"


@pytest.fixture
async def service(
    body: Path, simulator: Simulator, stripe: StripeSimulator, database_url: str
) -> AsyncIterator[Harness]:
    """A service on the provider that sent the webhook."""
    settings = {"payos": simulator.environment, "stripe": stripe.environment}[provider_of(body)]
    async with running_service(environment(database_url, settings)) as harness:
        yield harness
        assert await harness.violations() == []


def provider_of(body: Path) -> str:
    return body.parent.parent.name


async def store(service: Harness, body: Path, now: datetime) -> str:
    """Store a webhook as an earlier release did; it waits to be applied."""
    version, payload = body.parent, body.read_bytes()  # noqa: ASYNC240  # a small local file
    webhook_id = new_id("whk", now)
    await service.service.database.transact(
        "test",
        lambda session: webhooks.add(
            session,
            webhooks.NewWebhook(
                id=webhook_id,
                provider=provider_of(body),
                event_id=body.stem,
                schema_version=version.name,
                payload=payload,
                status=webhooks.RECEIVED,
                received_at=now,
                next_check_at=now,
            ),
        ),
    )
    return webhook_id


async def rows(service: Harness, query: str) -> list[tuple[Any, ...]]:
    async with service.service.database.engine.connect() as connection:
        return [tuple(row) for row in await connection.exec_driver_sql(query)]


async def outcome(service: Harness, payment_id: str, webhook_id: str) -> dict[str, Any]:
    payment = await service.get(payment_id)
    (webhook,) = await rows(
        service, f"SELECT status, reason FROM webhook_events WHERE id = '{webhook_id}'"
    )
    payers = await rows(
        service, f"SELECT payer_bank_bin FROM receipts WHERE payment_id = '{payment_id}'"
    )
    return {
        "webhook": webhook[0],
        "reason": webhook[1],
        "payment": payment["status"],
        "received": payment["amounts"]["received"],
        "payer_bank_bin": payers[0][0] if payers else None,
    }


@pytest.mark.parametrize(
    "body", BODIES, ids=[f"{provider_of(b)}/{b.parent.name}/{b.stem}" for b in BODIES]
)
async def test_stored_webhook_is_applied_and_its_replay_changes_nothing(
    service: Harness, capsys: pytest.CaptureFixture[str], body: Path
) -> None:
    payment_id = (await service.create(45_000))["payment_id"]
    async with service.service.database.engine.begin() as connection:
        await connection.exec_driver_sql(
            f"UPDATE payment_attempts SET order_code = {ORDER_CODE},"
            f" provider_reference = '{LINKS[provider_of(body)]}'"
        )
    webhook_id = await store(service, body, service.clock())

    await service.settle()
    first = await outcome(service, payment_id, webhook_id)
    version = (await service.get(payment_id))["version"]
    replayed = await Commands(service.service, capsys)("webhooks", "replay", webhook_id)
    await service.settle()

    assert first == {
        name: value for name, value in expected(body.parent)[body.stem].items() if name != "sha256"
    }
    assert replayed == 0
    assert await outcome(service, payment_id, webhook_id) == first
    assert (await service.get(payment_id))["version"] == version


def test_corpus_has_what_it_once_had() -> None:
    for version in sorted(CORPUS.glob("*/v*/")):
        digests = {
            body.stem: hashlib.sha256(body.read_bytes()).hexdigest()
            for body in version.glob("*.json")
        }
        assert digests == {name: entry["sha256"] for name, entry in expected(version).items()}


def test_every_schema_of_webhooks_has_stored_ones() -> None:
    """An entry of `webhook-schemas/` for what a provider sends names a folder of the corpus."""
    schemas = Path(__file__).parents[2] / "webhook-schemas"
    ours = {"events", "received", "dead_letters"}  # what we send

    versions = {
        f"{schema.parent.name}/{schema.stem}"
        for schema in schemas.glob("*/v*.json")
        if schema.parent.name not in ours
    }

    assert versions == {f"{v.parent.name}/{v.name}" for v in CORPUS.glob("*/v*/")}
