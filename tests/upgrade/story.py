"""The whole rehearsal, from two versions and two servers to a verdict."""

import asyncio
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.deployment import AUTH, merchant_token
from tests.support.process import AUTH_SECRET, wait_until
from tests.support.service import DATA_KEYS
from tests.support.simulator import Simulator
from tests.upgrade.balancer import Balancer
from tests.upgrade.load import Load, Tally
from tests.upgrade.rehearsal import Outcome, Rehearsal, Size
from tests.upgrade.versions import Versions

SETTLE_SECONDS_MAX = 120.0


@dataclass(frozen=True, slots=True)
class Report:
    """What a rehearsal has shown."""

    versions: Versions
    tally: Tally
    outcome: Outcome

    @property
    def is_fine(self) -> bool:
        """Whether nobody noticed anything."""
        outcome = self.outcome
        return not (
            self.tally.errors
            or outcome.lost
            or outcome.unready
            or outcome.audit
            or set(outcome.exits) - {0}
        )


async def rehearse(
    folder: Path,
    versions: Versions,
    size: Size,
    *,
    mysql: Any,
    kafka: Any,
    simulator: Simulator,
) -> Report:
    """Upgrade, go back, upgrade again, contract; then compare."""
    name = f"upgrade_{secrets.token_hex(6)}"
    balancer = Balancer()
    await balancer.open()
    url = f"http://127.0.0.1:{balancer.port}"
    environ = {
        **os.environ, **AUTH, **simulator.environment,
        "PAYMENTS_AUTH_SECRET": AUTH_SECRET, "PAYMENTS_DATA_KEYS": DATA_KEYS,
        "PAYMENTS_DATABASE_URL": mysql.create_database(name),
        "PAYMENTS_BROKER_URL": f"kafka://127.0.0.1:{kafka.port}",
        "PAYMENTS_PUBLIC_URL": url,
    }  # fmt: skip
    load = Load(url, merchant_token(), simulator, merchants=size.merchants)
    rehearsal = Rehearsal(folder, environ, load, balancer, size)
    try:
        await _act(rehearsal, load, versions, size)
        await asyncio.to_thread(_settle, mysql, name)
        rehearsal.outcome.audit = (await rehearsal.command(versions.new, "audit")).strip()
        await rehearsal.finish()
        found = mysql.query(f"SELECT id, version FROM {name}.payments")
        changes = {str(row[0]): int(row[1]) for row in found}
        await rehearsal.compare(f"127.0.0.1:{kafka.port}", changes)
    finally:
        rehearsal.kill()
        await balancer.close()
        mysql.drop_database(name)
    return Report(versions, load.tally, rehearsal.outcome)


async def _act(rehearsal: Rehearsal, load: Load, versions: Versions, size: Size) -> None:
    await rehearsal.command(versions.old, "migrate")
    await rehearsal.start(versions.old)
    going_on = asyncio.create_task(load.run())
    try:
        async with rehearsal.step("the old version alone"):
            pass
        async with rehearsal.step("expand, while the old version works"):
            await rehearsal.command(versions.new, "migrate")
        async with rehearsal.step("roll to the new version"):
            await rehearsal.roll(versions.new)
        async with rehearsal.step("roll back to the old version"):
            await rehearsal.command(versions.old, "migrate")
            await rehearsal.roll(versions.old, size.rolled_back)
        if size.is_whole:
            async with rehearsal.step("roll to the new version again"):
                await rehearsal.roll(versions.new)
            async with rehearsal.step("contract, while the new version works"):
                await rehearsal.command(versions.contracted, "migrate")
    finally:
        load.stop()
        await going_on


def _settle(mysql: Any, name: str) -> None:
    """Wait until everything is told and paid out."""
    waiting = (
        f"SELECT (SELECT COUNT(*) FROM {name}.outbox_events WHERE status = 'pending')"
        f" + (SELECT COUNT(*) FROM {name}.webhook_events WHERE status = 'received')"
        f" + (SELECT COUNT(*) FROM {name}.refunds WHERE status = 'pending')"
    )
    wait_until(
        lambda: mysql.query(waiting)[0][0] == "0", seconds=SETTLE_SECONDS_MAX, what="all is told"
    )
