"""Watches what is sent to the database: each statement, and each commit."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine


@dataclass
class Sent:
    """What was sent: statements with their parameters, and how many commits."""

    statements: list[tuple[str, Any]] = field(default_factory=list)
    commits: int = 0

    def counted(self) -> tuple[int, int]:
        """Count statements and commits."""
        return len(self.statements), self.commits


@contextmanager
def watched() -> Iterator[Sent]:
    """Watch every engine of this process during a block."""
    sent = Sent()

    def note(_c: Connection, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if not statement.startswith("BEGIN"):  # SQLite's; MySQL begins by itself
            sent.statements.append((statement, parameters))

    def count(_connection: Connection) -> None:
        sent.commits += 1

    listeners = [("before_cursor_execute", note), ("commit", count)]
    for name, listener in listeners:
        event.listen(Engine, name, listener)
    try:
        yield sent
    finally:
        for name, listener in listeners:
            event.remove(Engine, name, listener)
