"""The state of the order service: orders, the journal of their money, and what waits.

What an event changes and the note that it was counted are written in one transaction. So a crash
leaves both or neither, and an event that comes again after it is counted once.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_SCHEMA = (
    """
    CREATE TABLE IF NOT EXISTS payments (
        payment_id TEXT PRIMARY KEY,
        order_reference TEXT NOT NULL,
        status TEXT NOT NULL,
        sequence INTEGER NOT NULL            -- of the last event that was counted
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS journal (     -- what each event did, once
        event_id TEXT PRIMARY KEY,
        payment_id TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        type TEXT NOT NULL,
        received INTEGER NOT NULL,           -- how much more, in minor units
        refunded INTEGER NOT NULL,
        UNIQUE (payment_id, sequence)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS thanks (      -- mails to send, once when the money is there
        event_id TEXT PRIMARY KEY,
        order_reference TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS waiting (     -- events that came before an earlier one
        payment_id TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        value BLOB NOT NULL,
        since REAL NOT NULL,
        PRIMARY KEY (payment_id, sequence)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS set_aside (   -- messages that a person must look at
        place TEXT PRIMARY KEY,              -- topic, partition and offset
        reason TEXT NOT NULL,
        value BLOB NOT NULL
    )
    """,
)


class Store:
    """A SQLite file. One process writes it."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=30)
        self._connection.row_factory = sqlite3.Row
        with self.transaction():
            for statement in _SCHEMA:
                self._connection.execute(statement)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write all of a block, or none of it."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def write(self, sql: str, *values: Any) -> None:
        """Change something; inside a transaction."""
        self._connection.execute(sql, values)

    def find(self, sql: str, *values: Any) -> sqlite3.Row | None:
        """Read one row, if there is one."""
        found: sqlite3.Row | None = self._connection.execute(sql, values).fetchone()
        return found

    def list(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        """Read all rows."""
        return self._connection.execute(sql, values).fetchall()


def report(store: Store) -> dict[str, dict[str, Any]]:
    """Tell what we believe of each payment; money as the sum of the journal."""
    found: dict[str, dict[str, Any]] = {
        row["payment_id"]: {"status": row["status"], "sequence": row["sequence"], "times": {}}
        for row in store.list("SELECT * FROM payments")
    }
    for row in store.list(
        "SELECT payment_id, SUM(received) AS received, SUM(refunded) AS refunded"
        " FROM journal GROUP BY payment_id"
    ):
        found[row["payment_id"]] |= {
            "amount_received": row["received"],
            "amount_refunded": row["refunded"],
        }
    for row in store.list(
        "SELECT payment_id, type, COUNT(*) AS times FROM journal GROUP BY payment_id, type"
    ):
        found[row["payment_id"]]["times"][row["type"]] = row["times"]
    return found


def gaps(store: Store) -> list[dict[str, Any]]:
    """Tell which payments wait for an event, for which, and for how long."""
    return [
        {
            "payment_id": row["payment_id"],
            "missing": (row["counted"] or 0) + 1,
            "waiting": row["waiting"],
            "seconds": round(time.time() - row["since"]),
        }
        for row in store.list(
            "SELECT w.payment_id, COUNT(*) AS waiting, MIN(w.since) AS since,"
            " (SELECT sequence FROM payments p WHERE p.payment_id = w.payment_id) AS counted"
            " FROM waiting w GROUP BY w.payment_id ORDER BY since"
        )
    ]
