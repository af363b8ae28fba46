"""What the operators' commands share: their exit codes, their options, and how they print."""

import argparse
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from payment_service.bootstrap import Service

FINE, WRONG, USAGE = 0, 1, 2

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


def print_all(options: Options, entries: Sequence[Mapping[str, Any]]) -> None:
    """Print one line per entry, or all of them as JSON."""
    if options.json:
        print(json.dumps(entries, default=_plain, indent=1, ensure_ascii=False))
        return
    for entry in entries:
        print("  ".join(f"{_plain(value)}" for value in entry.values() if value is not None))


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
