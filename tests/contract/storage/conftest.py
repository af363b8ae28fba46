"""The databases that the suite runs on: real ones, and the store of the simulation."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from secrets import token_hex

import pytest

from payment_service.storage import migrate
from payment_service.storage.database import Database
from payment_service.storage.models import Base
from tests.simulation.store.database import SimulatedDatabase
from tests.simulation.store.transactions import Store
from tests.support.service import KEYRING


@pytest.fixture(
    params=[
        "simulated",
        "sqlite",
        pytest.param("mysql", marks=pytest.mark.stack),
        pytest.param("mariadb", marks=pytest.mark.stack),
    ]
)
def kind(request: pytest.FixtureRequest) -> str:
    """Name the kind of database."""
    return str(request.param)


@pytest.fixture
def url(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Address an empty database."""
    if kind in {"simulated", "sqlite"}:
        yield f"sqlite+aiosqlite:///{tmp_path}/payments.db"
        return
    server = request.getfixturevalue(f"{kind}_server")
    name = f"test_{token_hex(8)}"
    yield server.create_database(name)
    server.drop_database(name)


@pytest.fixture
async def database(kind: str, url: str) -> AsyncIterator[Database]:
    """Open a database with the tables of the service."""
    if kind == "simulated":
        yield SimulatedDatabase(Store(Base.metadata))
        return
    async with Database.open(url, keyring=KEYRING) as opened:
        await migrate.upgrade(opened)
        yield opened


@pytest.fixture
def two_writers(kind: str, database: Database) -> Database:
    """Open a database in which two units of work may write at a time."""
    if kind == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    return database
