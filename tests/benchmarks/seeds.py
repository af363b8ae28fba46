"""Rows that are there before the load: made inside the database, as fast as it can.

What a number means is in `messages.py`; the two must say the same.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncmy
from sqlalchemy import make_url

from deploy.stack.database import DatabaseServer
from payment_service.storage.sealing import Keyring
from tests.benchmarks import messages
from tests.support.service import DATA_KEYS

CHUNK = 10_000  # rows of one statement: it ends before anybody loses patience
KEYRING = Keyring.parse(DATA_KEYS)
CHECK_AFTER, KEPT = timedelta(days=1), timedelta(days=90)

PAYMENTS = """
    payments (id, tenant_id, status, version, amount, currency, amount_received, amount_applied,
      amount_refunded, amount_reserved, order_reference, return_url, cancel_url, metadata, provider,
      created_at, updated_at, expires_at, paid_at, closed_at, next_check_at, checks)
    SELECT CONCAT('pay_', LPAD(n, 26, '0')), 'shop', {status}, {version}, 45000, 'VND', {money},
      {money}, 0, 0, CONCAT('seed-', n), 'https://shop.example/thanks', 'https://shop.example/cart',
      '{{}}', 'payos', {at}, {at}, NOW(6) + INTERVAL 1 DAY, {ended}, {ended}, {check_at}, 0"""
ATTEMPTS = """
    payment_attempts (id, payment_id, number, order_code, state, transfer_text, provider_reference,
      checkout_url, qr_code, qr_token, created_at, closed_at)
    SELECT CONCAT('att_', LPAD(n, 26, '0')), CONCAT('pay_', LPAD(n, 26, '0')), 1,
      10000000000000 + n, {state}, 'PAYK7Q2MA', LPAD(n, 32, '0'), 'https://pay.example/web',
      '00020101021238570010A00000072701270006970422', LPAD(n, 32, '0'), {at}, {ended}"""
MESSAGES = """
    outbox_events (shard, topic, message_key, message_id, payload, headers, status, attempts,
      created_at, published_at)
    SELECT CRC32(CONCAT('pay_', LPAD(n, 26, '0'))) % 16, 'payments.events.v1',
      CONCAT('pay_', LPAD(n, 26, '0')), CONCAT('evt_', LPAD(n, 26, '0')),
      CONCAT('{{"id": ', n, ', "data": "', REPEAT('x', 800), '"}}'), '{{}}', {status}, 0, {at},
      {ended}"""
HISTORY = (
    """
    webhook_events (id, provider, event_id, schema_version, payload, status, payment_id, attempts,
      received_at, processed_at, redact_at)
    SELECT CONCAT('whk_', LPAD(n, 26, '0')), 'payos', CONCAT('seed-', n), 'v1', REPEAT('x', 700),
      'applied', CONCAT('pay_', LPAD(n, 26, '0')), 0, {at}, {at}, {at} + INTERVAL 90 DAY""",
    """
    receipts (id, payment_id, provider, order_code, provider_reference, bank_reference, amount,
      amount_applied, currency, disposition, occurred_at, recorded_at)
    SELECT CONCAT('rcp_', LPAD(n, 26, '0')), CONCAT('pay_', LPAD(n, 26, '0')), 'payos',
      10000000000000 + n, LPAD(n, 32, '0'), CONCAT('FT', LPAD(n, 14, '0')), 45000, 45000, 'VND',
      'applied', {at}, {at}""",
    """
    audit_log (payment_id, at, actor, actor_id, action, to_status, version, amount)
    SELECT CONCAT('pay_', LPAD(n, 26, '0')), {at}, 'client', 'seed', 'payment.created', 'pending',
      1, 45000""",
    """
    idempotency_keys (tenant_id, `key`, fingerprint, operation, resource_id, state, fence,
      lease_until, response_status, response_headers, response_body, created_at, completed_at)
    SELECT 'shop', CONCAT('seed-', n), REPEAT('0', 64), 'createPayment',
      CONCAT('pay_', LPAD(n, 26, '0')), 'done', 1, {at}, 201, '{{}}', REPEAT('x', 900), {at},
      {at}""",
)
PENDING = {
    "status": "'pending'", "version": 1, "money": 0, "state": "'open'", "at": "NOW(6)",
    "ended": "NULL", "check_at": "NOW(6) + INTERVAL 1 DAY",
}  # fmt: skip
PAID = PENDING | {
    "status": "'paid'", "version": 2, "money": 45_000, "state": "'closed'",
    "at": "NOW(6) - INTERVAL 1 DAY", "ended": "NOW(6) - INTERVAL 1 DAY", "check_at": "NULL",
}  # fmt: skip


def open_payments(server: DatabaseServer, database: str, first: int, count: int) -> None:
    """Make payments that wait for their money."""
    for table in (PAYMENTS, ATTEMPTS):
        _insert(server, database, table.format(**PENDING), first, count)


def waiting_messages(server: DatabaseServer, database: str, first: int, count: int) -> None:
    """Make messages that wait for the relay, all at once."""
    _insert(server, database, MESSAGES.format(**PENDING), first, count, chunk=count)


def history(server: DatabaseServer, database: str, count: int) -> None:
    """Make what is left of so many payments that were paid."""
    published = PAID | {"status": "'published'"}
    for table in (PAYMENTS, ATTEMPTS, *HISTORY):
        _insert(server, database, table.format(**PAID), 1, count)
    _insert(server, database, MESSAGES.format(**published), 1, count)
    for (table,) in server.query(f"SHOW TABLES FROM {database}"):
        server.query(f"ANALYZE TABLE {database}.{table}")


def _insert(
    server: DatabaseServer, database: str, rows: str, first: int, count: int, *, chunk: int = CHUNK
) -> None:
    for start in range(first, first + count, chunk):
        numbers = _numbers(start, min(chunk, first + count - start))
        server.query(f"INSERT INTO {database}.{rows.strip()} FROM {numbers} ORDER BY n")


def _numbers(first: int, count: int) -> str:
    """Write a table of the numbers from `first` on, called n."""
    places = range(len(str(count - 1)))
    digit = "(" + " UNION ALL ".join(f"SELECT {each} AS d" for each in range(10)) + ")"
    digits = ", ".join(f"{digit} AS d{place}" for place in places)
    value = " + ".join(f"d{place}.d * {10**place}" for place in places)
    return f"(SELECT {first} + {value} AS n FROM {digits} HAVING n < {first + count}) AS numbers"


async def received_webhooks(url: str, first: int, count: int, *, sealed: bool) -> list[str]:
    """Store webhooks that are not applied yet, as the API would have; return their ids."""
    now = datetime.now(UTC).replace(tzinfo=None)
    ids = [f"whk_{number:026d}" for number in range(first, first + count)]
    rows = [
        (
            webhook_id, f"bench-{number}", _payload(number, sealed=sealed), now, now + CHECK_AFTER,
            now + KEPT,
        )
        for number, webhook_id in enumerate(ids, first)
    ]  # fmt: skip
    connection = await asyncmy.connect(**_address(url))
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO webhook_events (id, provider, event_id, schema_version, payload, status,"
            " attempts, received_at, next_check_at, redact_at)"
            " VALUES (%s, 'payos', %s, 'v1', %s, 'received', 0, %s, %s, %s)",
            rows,
        )
    await connection.commit()
    connection.close()
    return ids


def _payload(number: int, *, sealed: bool) -> bytes:
    body = messages.webhook_body(number)
    return KEYRING.seal(body, "webhook_events.payload") if sealed else body


def _address(url: str) -> dict[str, Any]:
    parsed = make_url(url)
    return {
        "host": parsed.host,
        "port": parsed.port,
        "user": parsed.username,
        "password": parsed.password,
        "db": parsed.database,
    }
