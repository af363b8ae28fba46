"""The pages of reference are whole: every setting and every command is on one, and none else."""

import argparse
import contextlib
import dataclasses
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from payment_service import cli, development
from payment_service.domain.errors import InvalidSettings
from payment_service.providers.payos.settings import PayOSSettings
from payment_service.providers.stripe.settings import StripeSettings
from payment_service.settings import Settings
from payment_service.telemetry import tracing
from tests.unit.test_settings import GOOD

ROOT = Path(__file__).parents[2]
SETTINGS = (ROOT / "docs/reference/settings.md").read_text()
COMMANDS = (ROOT / "docs/reference/commands.md").read_text()
_SERVICE, _SIMULATED = SETTINGS.split("## Only where the provider is simulated")
_NAME = re.compile(r"`((?:PAYMENTS|PAYOS|STRIPE|OTEL)_[A-Z_]+)`")


class Asked(dict[str, str]):
    """An environment that remembers what it was asked for."""

    def __init__(self, given: Mapping[str, str]) -> None:
        super().__init__(given)
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        """Answer, and remember."""
        self.names.add(name)
        return super().get(name, default)


class Handed:
    """A secrets provider that hands over an environment as it is."""

    def __init__(self, environ: Asked) -> None:
        self._environ = environ

    def fill_in(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return it."""
        return self._environ


def asked_by(read: Callable[[Asked], object], given: Mapping[str, str]) -> set[str]:
    """Find out what a reader asks for; that it is refused is all right."""
    environ = Asked(given)
    with contextlib.suppress(InvalidSettings):
        read(environ)
    return environ.names


def listed(page: str) -> set[str]:
    """Find the settings that have a row."""
    rows = [line.split("|")[1:] for line in page.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in _NAME.findall("|".join(row))}


def test_every_setting_that_is_read_has_a_row_and_no_other() -> None:
    read = asked_by(lambda environ: Settings.read({}, Handed(environ)), {})
    read |= asked_by(PayOSSettings.read, {"PAYOS_PAYOUT_CLIENT_ID": "x"})
    read |= asked_by(StripeSettings.read, {"STRIPE_WEBHOOK_SECRET_PREVIOUS": "x"})
    telemetry = set(re.findall(r"OTEL_[A-Z_]+", Path(tracing.__file__).read_text()))
    telemetry -= {"OTEL_SEMCONV_STABILITY_OPT_IN"}  # the service sets it, for itself

    assert "PAYMENTS_AUTH_SECRET" in read
    assert listed(_SERVICE) == read | telemetry


def test_every_setting_of_the_simulators_has_a_row_and_no_other() -> None:
    sources = [*ROOT.glob("src/*_simulator/*.py"), Path(development.__file__)]
    read = {
        name
        for path in sources
        for name in re.findall(r'"(\w+_SIMULATOR_\w+|PAYMENTS_DEV_\w+)"', path.read_text())
    }

    assert "PAYOS_SIMULATOR_PORT" in read
    assert listed(_SIMULATED) == read


def test_defaults_are_told_as_they_are() -> None:
    settings = Settings.read(GOOD)
    told = 0
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        row = re.search(rf"^\|.*`PAYMENTS_{field.name.upper()}`.*$", _SERVICE, re.MULTILINE)
        if field.name == "data_keys" or row is None or value is None:
            continue
        assert f"`{value}`" in row[0], field.name
        told += 1

    assert told >= 9


def test_every_command_has_a_row_and_no_other() -> None:
    [commands] = [
        action.choices
        for action in cli.parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    ]

    assert set(re.findall(r"^\| `([a-z-]+)` \|", COMMANDS, re.MULTILINE)) == set(commands)


def test_every_action_and_option_that_is_named_exists() -> None:
    text = "\n".join(parser.format_help() for parser in every_parser(cli.parser()))

    for option in re.findall(r"`(--[a-z-]+)", COMMANDS):
        assert option in text, option


def every_parser(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """List a parser and those below it."""
    below = [
        child
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for each in action.choices.values()
        for child in every_parser(each)
    ]
    return [parser, *below]
