"""Fixtures that several suites share."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from secrets import token_hex

import pytest
from hypothesis import HealthCheck, settings

from tests.support.leaks import listening
from tests.support.odd_money import OddMoney
from tests.support.service import Harness, environment, running_service
from tests.support.simulator import Simulator, running_simulator
from tests.support.stripe_simulator import StripeSimulator, running_stripe

pytest_plugins = ["tests.support.stack"]

# The same examples on every run: what fails for one fails for all.
settings.register_profile(
    "suite",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("suite")


@pytest.fixture(scope="session")
def shared_simulator() -> Iterator[Simulator]:
    """One payOS for a whole run; every test has links of its own in it."""
    with running_simulator() as simulator:
        yield simulator


@pytest.fixture
def simulator(shared_simulator: Simulator) -> Iterator[Simulator]:
    """A payOS on which nothing goes wrong unless the test says so."""
    yield shared_simulator
    shared_simulator.clear_faults()
    shared_simulator.modes(
        payout_seconds=0, auto_payouts=True, wallet=10**13, webhook_iso_times=False
    )


@pytest.fixture(scope="session")
def shared_stripe() -> Iterator[StripeSimulator]:
    """One Stripe for a whole run; every test has sessions of its own in it."""
    with running_stripe() as simulator:
        yield simulator


@pytest.fixture
def stripe(shared_stripe: StripeSimulator) -> Iterator[StripeSimulator]:
    """A Stripe on which nothing goes wrong unless the test says so."""
    yield shared_stripe
    shared_stripe.clear_faults()
    shared_stripe.modes(refund_status="succeeded", webhooks=True, balance=10**12)


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("mysql", marks=pytest.mark.stack),
        pytest.param("mariadb", marks=pytest.mark.stack),
    ]
)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind that the service runs on."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path}/payments.db"
        return
    server = request.getfixturevalue(f"{request.param}_server")
    name = f"test_{token_hex(8)}"
    yield server.create_database(name)
    server.drop_database(name)


@pytest.fixture
async def service(simulator: Simulator, database_url: str) -> AsyncIterator[Harness]:
    """A service on payOS; at the end of every test its money adds up, and it gave nothing away."""
    settings = environment(database_url, simulator.environment)
    async with running_service(settings) as harness:
        with listening(harness) as leaks:
            yield harness
            await harness.settle()
        assert await harness.violations() == []
        assert leaks.found(harness) == []


@pytest.fixture
def desk(service: Harness, simulator: Simulator) -> OddMoney:
    """A support desk at that service."""
    return OddMoney(service, simulator)
