"""What the command line says when it cannot start: what is wrong, and what to do next."""

import argparse
import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from payment_service import cli
from payment_service.bootstrap import open_service
from payment_service.domain.errors import InvalidSettings, NotFound
from payment_service.messaging.broker import BrokerUnavailable
from payment_service.providers.provider import OutcomeUnknown
from payment_service.settings import Settings
from tests.support.process import free_port
from tests.support.service import DATA_KEYS

COMMAND_SECONDS = 90  # on a busy machine
PASSWORD = "hunter2"
SETTINGS_NEXT = "docs/reference/settings.md"
DOCTOR_NEXT = "payment-service doctor"
GOOD = {
    "PAYMENTS_AUTH_SECRET": "s" * 32,
    "PAYMENTS_AUTH_ISSUER": "issuer",
    "PAYMENTS_AUTH_AUDIENCE": "audience",
    "PAYMENTS_DATA_KEYS": DATA_KEYS,
    "PAYMENTS_PROVIDER": "fake",
    "PAYMENTS_LOG_LEVEL": "ERROR",
}
ROOT = Path(__file__).parents[2]


def command(
    folder: Path, *arguments: str, environ: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run a command as a newcomer does; return its exit code and what it complains of."""
    clean = {
        name: value for name, value in os.environ.items()
        if not name.startswith(("PAYMENTS_", "PAYOS_", "STRIPE_"))
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "payment_service", *arguments],
        cwd=folder, env=clean | dict(environ or {}), capture_output=True, text=True,
        timeout=COMMAND_SECONDS, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


@contextlib.contextmanager
def taken_port() -> Iterator[int]:
    """A port that somebody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def make_setup(folder: Path, python: str) -> str:
    """Set up with a Python that is a script; return what make said when it failed."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    for name in ("Makefile", "requirements-dev.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    script = folder / "python"
    script.write_text(f"#!/bin/sh\n{python}\n")
    script.chmod(0o700)
    done = subprocess.run(
        ["make", "setup", f"PYTHON={script}"], cwd=folder, capture_output=True, text=True,
        timeout=COMMAND_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    return done.stdout + done.stderr


def test_a_python_that_is_too_old_is_told_before_anything_is_made(tmp_path: Path) -> None:
    said = make_setup(tmp_path, "exit 1")

    assert "Python 3.11 or newer is needed" in said
    assert not (tmp_path / ".venv").exists()


def test_a_python_without_venv_leaves_nothing_half_made(tmp_path: Path) -> None:
    """Debian's python3 without python3-venv makes a .venv without pip, and fails."""
    half = 'if [ "$1" = -m ]; then mkdir -p .venv/bin; ln -s /bin/sh .venv/bin/python; exit 1; fi'

    make_setup(tmp_path, half)

    assert not (tmp_path / ".venv").exists()


def test_settings_that_are_missing_name_their_page(tmp_path: Path) -> None:
    code, said = command(tmp_path, "api")

    assert code == 2
    assert "PAYMENTS_DATA_KEYS is required" in said
    assert SETTINGS_NEXT in said
    assert "payment-service dev" in said
    assert (ROOT / SETTINGS_NEXT).is_file()


@pytest.mark.parametrize(
    "wrong",
    [
        {"PAYMENTS_DATABASE_URL": f"mysql+asyncmy://user:{PASSWORD}@host:port/db"},
        {"PAYMENTS_DATABASE_URL": f"mysql+asyncmy://user:{PASSWORD}@host/db?ssl_ca=missing.pem"},
        {"PAYMENTS_DATABASE_URL": f"mysql+asyncmy://user:{PASSWORD}@host/db?ssl_mode=off"},
        {"PAYMENTS_BROKER_URL": f"kafka://user:{PASSWORD}@"},
        {"PAYMENTS_BROKER_URL": f"kafka://user:{PASSWORD}@host:9092?acks=0"},
        {"PAYMENTS_DATA_KEYS": "a"},
    ],
    ids=lambda wrong: next(f"{name}={value}" for name, value in wrong.items()),
)
async def test_settings_that_cannot_be_read_are_named_without_their_secrets(
    wrong: dict[str, str],
) -> None:
    with pytest.raises(InvalidSettings) as caught:
        async with open_service(Settings.read(GOOD | wrong)):
            pass

    [name] = wrong
    assert str(caught.value).startswith(name)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("arguments", [("migrate",), ("timeline", "pay_x")])
def test_a_database_that_is_away_leads_to_the_doctor(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    away = f"mysql+asyncmy://user:{PASSWORD}@127.0.0.1:{free_port()}/payments"

    code, said = command(tmp_path, *arguments, environ=GOOD | {"PAYMENTS_DATABASE_URL": away})

    assert code == 1, said
    assert said.splitlines()[-2:] == [
        "payment-service: The database does not answer.",
        f"  {cli.DOCTOR_ADVICE}",
    ]
    assert "Traceback" not in said


def test_a_database_without_tables_leads_to_the_doctor(tmp_path: Path) -> None:
    code, said = command(tmp_path, "audit", environ=GOOD)

    assert code == 1, said
    assert DOCTOR_NEXT in said


@pytest.mark.parametrize("error", [BrokerUnavailable("Away."), OutcomeUnknown("Away.")])
def test_kafka_or_a_provider_that_is_away_leads_to_the_doctor(error: Exception) -> None:
    assert isinstance(error, cli.EXPECTED)
    assert cli.explain(error) == (1, ["payment-service: Away.", f"  {cli.DOCTOR_ADVICE}"])


def test_a_mistake_of_the_operator_does_not_lead_to_the_doctor() -> None:
    assert cli.explain(NotFound("No such payment.")) == (1, ["payment-service: No such payment."])


@pytest.mark.parametrize("process", ["api", "dev"])
def test_a_port_that_is_taken_is_named_by_its_setting(tmp_path: Path, process: str) -> None:
    names = ("PAYMENTS_PORT", "PAYMENTS_OPS_PORT")
    with taken_port() as first, taken_port() as second:
        ports = dict(zip(names, (str(first), str(second)), strict=True))
        settings = {} if process == "dev" else GOOD
        code, said = command(tmp_path, process, environ=settings | ports)

    assert code == 2, said
    for name, port in ports.items():
        assert f"settings: {name}: port {port} of 127.0.0.1 is in use" in said
    assert "Traceback" not in said


def test_the_simulator_names_its_port_too(tmp_path: Path) -> None:
    with taken_port() as port:
        free = {name: str(free_port()) for name in ("PAYMENTS_PORT", "PAYMENTS_OPS_PORT")}
        taken = {"PAYMENTS_PROVIDER": "stripe", "STRIPE_SIMULATOR_PORT": str(port)}
        code, said = command(tmp_path, "dev", environ=free | taken)

    assert code == 2, said
    assert f"settings: STRIPE_SIMULATOR_PORT: port {port} of 127.0.0.1 is in use" in said


def test_help_says_what_every_command_and_argument_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    silent: list[str] = []
    for path, parser in each_parser(cli.parser(), "payment-service"):
        if not parser.description:
            silent.append(path)
        silent += [
            f"{path} {action.dest}"
            for action in parser._actions
            if not action.help and action.dest not in {"command", "action"}
        ]
    with pytest.raises(SystemExit):
        cli.main(["--help"])

    assert silent == []
    assert "payment-service dev" in capsys.readouterr().out


def each_parser(
    parser: argparse.ArgumentParser, path: str
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Walk through the commands and their actions."""
    yield path, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, child in action.choices.items():
                yield from each_parser(child, f"{path} {name}")
