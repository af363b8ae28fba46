"""Settings: all faults at once, and no secret shown."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from payment_service.domain.errors import InvalidSettings
from payment_service.settings import Settings

GOOD = {
    "PAYMENTS_AUTH_SECRET": "s" * 32,
    "PAYMENTS_DATA_KEYS": "first:not-read-here",
    "PAYMENTS_AUTH_ISSUER": "issuer",
    "PAYMENTS_AUTH_AUDIENCE": "audience",
}


def test_defaults_are_the_embedded_ones() -> None:
    settings = Settings.read(GOOD)

    assert settings.database_url == "sqlite+aiosqlite:///var/payments.db"
    assert settings.broker_url == "memory://"
    assert (settings.provider, settings.port, settings.ops_port) == ("payos", 8000, 9000)
    assert settings.ops_token is None, "without a token there is no console"


def test_every_fault_is_told_at_once_without_its_value() -> None:
    bad = {
        "PAYMENTS_DATABASE_URL": "postgresql://user:hunter2@host/db",
        "PAYMENTS_BROKER_URL": "amqp://hunter2",
        "PAYMENTS_PORT": "eighty",
        "PAYMENTS_PUBLIC_URL": "payments",
        "PAYMENTS_AUTH_SECRET": "hunter2",
        "PAYMENTS_OPS_TOKEN": "hunter2",
    }

    with pytest.raises(InvalidSettings) as caught:
        Settings.read(bad)

    assert len(caught.value.faults) == 9
    assert "hunter2" not in str(caught.value)


def test_secrets_may_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("f" * 40 + "\n")
    rest = {k: v for k, v in GOOD.items() if k != "PAYMENTS_AUTH_SECRET"}

    settings = Settings.read(rest | {"PAYMENTS_AUTH_SECRET_FILE": str(tmp_path / "secret")})

    assert settings.auth.secret == "f" * 40
    with pytest.raises(InvalidSettings, match="PAYMENTS_AUTH_SECRET_FILE"):
        Settings.read(rest | {"PAYMENTS_AUTH_SECRET_FILE": str(tmp_path / "missing")})


@pytest.mark.parametrize("provider", ["payos", "stripe", "one_of_ones_own"])
def test_secrets_of_the_provider_may_come_from_files(tmp_path: Path, provider: str) -> None:
    (tmp_path / "secret").write_text("x\n")
    name = f"{provider.upper()}_SECRET_KEY"

    settings = Settings.read(
        GOOD | {"PAYMENTS_PROVIDER": provider, f"{name}_FILE": str(tmp_path / "secret")}
    )

    assert settings.environment[name] == "x"


def test_secrets_may_come_from_a_provider_of_ones_own() -> None:
    class Vault:
        def fill_in(self, environ: Mapping[str, str]) -> dict[str, str]:
            return {**environ, "PAYMENTS_AUTH_SECRET": "v" * 40}

    rest = {k: v for k, v in GOOD.items() if k != "PAYMENTS_AUTH_SECRET"}

    assert Settings.read(rest, Vault()).auth.secret == "v" * 40


def test_secrets_are_not_shown() -> None:
    url = "mysql+asyncmy://user:hunter2@host/db"
    shown = repr(Settings.read(GOOD | {"PAYMENTS_DATABASE_URL": url}))

    assert "hunter2" not in shown
    assert "s" * 32 not in shown
