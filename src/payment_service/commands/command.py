"""What the operators' commands share: their exit codes, their options, and how they print."""

import argparse
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from payment_service.bootstrap import Service
from payment_service.domain.audit import Actor, ActorKind

FINE, WRONG, USAGE = 0, 1, 2
LIMIT_MAX = 1000
TEXT_MAX = 128
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}

Options = argparse.Namespace
Run = Callable[[Service, Options], Awaitable[int]]


def add_command(
    commands: Any, name: str, run: Run, *, about: str, tells: bool = True
) -> argparse.ArgumentParser:
    """Add a command that `run` carries out; one that tells something can tell it in JSON."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=about, description=about)
    if tells:
        parser.add_argument("--json", action="store_true", help="answer for programs")
    parser.set_defaults(run=run)
    return parser


def add_limit(parser: argparse.ArgumentParser, *, default: int) -> None:
    """Add `--limit`: everything that a command does has a bound."""
    parser.add_argument(
        "--limit", type=_limit, default=default, help=f"at most so many; {default}, if not said"
    )


def add_actor(parser: argparse.ArgumentParser) -> None:
    """Add `--actor`: whoever changes something leaves a name."""
    parser.add_argument(
        "--actor", type=_name, default="operator", help="your name, for the audit log"
    )


def actor_of(options: Options) -> Actor:
    """Tell who uses the command line."""
    return Actor(ActorKind.OPERATOR, options.actor)


def instant(text: str) -> datetime | timedelta:
    """Read an instant with its offset, or how long ago it was: 90m, 12h, 7d."""
    if text[-1:] in _UNITS and text[:-1].isascii() and text[:-1].isdecimal():
        return int(text[:-1]) * _UNITS[text[-1]]
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = datetime.min  # noqa: DTZ901  # refused below, as it has no offset
    if at.tzinfo is None:
        raise argparse.ArgumentTypeError("such as 2026-12-01T00:00:00Z, or 90m, 12h, 7d ago")
    return at


def resolve_instant(service: Service, given: datetime | timedelta | None) -> datetime | None:
    """Tell which instant was meant."""
    return service.clock() - given if isinstance(given, timedelta) else given


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= LIMIT_MAX:
        raise argparse.ArgumentTypeError(f"1 to {LIMIT_MAX}")
    return int(text)


def _name(text: str) -> str:
    if not text.strip() or len(text) > TEXT_MAX:
        raise argparse.ArgumentTypeError(f"1 to {TEXT_MAX} characters")
    return text


def print_all(options: Options, entries: Sequence[Mapping[str, Any]]) -> None:
    """Print one line per entry, or all of them as JSON."""
    if options.json:
        print(json.dumps(entries, default=_plain, indent=1, ensure_ascii=False))
        return
    for entry in entries:
        print("  ".join(f"{_plain(value)}" for value in entry.values() if value is not None))


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
