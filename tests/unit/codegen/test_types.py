"""The generated Protocols make a missing or different handler a type error."""

import shutil
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
GOOD = """
from generated.api import models, routes
from openapi_runtime.hooks import Hooks
from openapi_runtime.operations import Context
from openapi_runtime.validation import Contract


class System:
    async def get_health(self, context: Context, /) -> routes.GetHealthResult:
        return routes.GetHealth200(body=models.Health(status=models.HealthStatus.OK, version="1"))


class Refunds:
    async def create_refund(
        self, context: Context, /, *, body: models.CreateRefundRequest, payment_id: str,
        idempotency_key: str,
    ) -> routes.CreateRefundResult: ...

    async def get_refund(
        self, context: Context, /, *, payment_id: str, refund_id: str
    ) -> routes.GetRefundResult: ...

    async def list_refunds(
        self, context: Context, /, *, payment_id: str, limit: int, cursor: str | routes.UnsetType
    ) -> routes.ListRefundsResult: ...


def build(
    contract: Contract, security: routes.SecurityApi, payments: routes.PaymentsApi,
    exceptions: routes.ExceptionsApi, webhooks: routes.WebhooksApi, hooks: Hooks,
) -> None:
    routes.build_routes(
        contract, security=security, payments=payments, refunds=Refunds(), exceptions=exceptions,
        webhooks=webhooks, system=System(), hooks=hooks,
    )
"""
BROKEN = {
    "no such method": (
        ("async def get_refund(", "async def get_refunt("),
        '"Refunds" is missing following "RefundsApi" protocol member',
    ),
    "another argument": (("refund_id: str", "refund: str"), "Expected:"),
    "another type of body": (("models.CreateRefundRequest", "models.Refund"), "Expected:"),
    "another result": (
        ('body=models.Health(status=models.HealthStatus.OK, version="1")', "body=1"),
        'incompatible type "int"; expected "Health"',
    ),
    "the result of another operation": (
        ("routes.GetHealth200(", "routes.GetHealth201("), 'has no attribute "GetHealth201"'
    ),
    "not async": (("async def list_refunds", "def list_refunds"), "Expected:"),
}  # fmt: skip


@pytest.fixture(scope="module")
def check(tmp_path_factory):
    """Run mypy, with one cache for all cases."""
    folder, numbers = tmp_path_factory.mktemp("types"), count()
    assert shutil.which("mypy", path=str(Path(sys.executable).parent))

    def run(text):
        # A file each: mypy takes one of the same size and time for the one it has seen.
        snippet = folder / f"snippet_{next(numbers)}.py"
        snippet.write_text(text)
        done = subprocess.run(
            [
                sys.executable, "-m", "mypy", "--config-file=", "--strict", "--python-version=3.11",
                "--disable-error-code=empty-body", f"--cache-dir={folder}/cache",
                str(snippet),
            ],
            env={"MYPYPATH": f"{ROOT}/src:{ROOT}"}, cwd=folder, capture_output=True,
            encoding="utf-8", check=False, timeout=150,
        )  # fmt: skip
        return done.stdout + done.stderr

    return run


def test_handlers_that_fit_are_accepted(check):
    assert "Success" in check(GOOD)


@pytest.mark.parametrize("case", BROKEN)
def test_a_handler_that_does_not_fit_is_a_type_error(check, case):
    change, complaint = BROKEN[case]
    assert GOOD.count(change[0]) >= 1

    told = check(GOOD.replace(*change))

    assert complaint in told
    assert "Found" in told
