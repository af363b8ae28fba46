"""Looks at the database as `payment-service doctor` does: what it is, and what it lets us do."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import text

from payment_service.storage.database import Session

READ, ADD, CHANGE, DELETE = "SELECT", "INSERT", "UPDATE", "DELETE"
APPEND_ONLY = ("receipts", "reallocations", "audit_log")
RIGHTS: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(APPEND_ONLY, frozenset({READ, ADD})),
    **dict.fromkeys(
        ("payments", "payment_attempts", "refunds", "money_exceptions", "webhook_events"),
        frozenset({READ, ADD, CHANGE}),
    ),
    **dict.fromkeys(
        ("outbox_events", "idempotency_keys", "leases"), frozenset({READ, ADD, CHANGE, DELETE})
    ),
}
"""What the service needs of each table, and no more: docs/database.md, section Rights."""

_SETTINGS = """
    SELECT VERSION(), @@SESSION.sql_mode, @@SESSION.transaction_isolation, @@SESSION.time_zone,
           @@GLOBAL.innodb_flush_log_at_trx_commit, @@GLOBAL.sync_binlog, @@GLOBAL.log_bin"""
_SETTINGS_OF_MARIADB = _SETTINGS.replace("transaction_isolation", "tx_isolation")
# What roles give is not seen here.
_GRANTEE = "CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), '''')"
_RIGHTS = f"""
    SELECT '*', PRIVILEGE_TYPE FROM information_schema.USER_PRIVILEGES WHERE GRANTEE = {_GRANTEE}
    UNION SELECT '*', PRIVILEGE_TYPE FROM information_schema.SCHEMA_PRIVILEGES
     WHERE GRANTEE = {_GRANTEE} AND DATABASE() LIKE TABLE_SCHEMA
    UNION SELECT TABLE_NAME, PRIVILEGE_TYPE FROM information_schema.TABLE_PRIVILEGES
     WHERE GRANTEE = {_GRANTEE} AND TABLE_SCHEMA = DATABASE()"""  # noqa: S608  # constants


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What was found."""

    product: str  # MySQL, MariaDB, SQLite
    version: str
    now: datetime  # the server's time
    faults: tuple[str, ...]
    hints: tuple[str, ...]  # works, and could be safer


async def inspect(session: Session) -> Inspection:
    """Look at the server, at the session that it gives us, and at our rights."""
    if session.get_bind().dialect.name == "sqlite":
        row = (
            await session.execute(
                text("SELECT sqlite_version(), strftime('%Y-%m-%dT%H:%M:%f', 'now')")
            )
        ).one()
        now = datetime.fromisoformat(row[1]).replace(tzinfo=UTC)
        return Inspection(product="SQLite", version=row[0], now=now, faults=(), hints=())
    now = (await session.execute(text("SELECT UTC_TIMESTAMP(6)"))).scalar_one()
    is_mariadb = "MariaDB" in (await session.execute(text("SELECT VERSION()"))).scalar_one()
    settings = await session.execute(text(_SETTINGS_OF_MARIADB if is_mariadb else _SETTINGS))
    version, mode, isolation, zone, flush, sync, logs = settings.one()
    faults, hints = [], []
    if "STRICT_ALL_TABLES" not in mode:
        faults.append("strict mode is off: a proxy drops what we set for our sessions")
    if isolation != "READ-COMMITTED":
        faults.append(f"isolation is {isolation}: a proxy drops what we set for our sessions")
    if zone != "+00:00":
        faults.append(f"the session's time zone is {zone}")
    if flush != 1:
        hints.append(f"innodb_flush_log_at_trx_commit is {flush}: a crash may forget commits")
    if logs and sync != 1:
        hints.append(f"sync_binlog is {sync}: a crash may forget what replicas were told")
    missing, spare = _compare(await _rights(session))
    faults += [f"no right to {right} on {table}" for table, right in missing]
    hints += [f"may {right} on {table}, which is append-only" for table, right in spare]
    return Inspection(
        product="MariaDB" if is_mariadb else "MySQL",
        version=version,
        now=now.replace(tzinfo=UTC),
        faults=tuple(faults),
        hints=tuple(hints),
    )


async def _rights(session: Session) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for table, right in await session.execute(text(_RIGHTS)):
        found.setdefault(table, set()).add(right)
    return found


def _compare(rights: Mapping[str, set[str]]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the rights that are missing, and those too many on what is append-only."""
    missing, spare = [], []
    for table, needed in RIGHTS.items():
        held = rights.get("*", set()) | rights.get(table, set())
        missing += [(table, right) for right in sorted(needed - held)]
        if table in APPEND_ONLY:
            spare += [(table, right) for right in sorted({CHANGE, DELETE} & held)]
    return missing, spare
