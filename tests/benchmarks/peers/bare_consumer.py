"""A consumer by hand: one transaction a webhook, the service's statements as plain SQL.

Partitions are worked on side by side, each in order, and offsets are committed after the work.
"""

import asyncio
import os
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncmy
import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer

from tests.benchmarks.peers.ids import new_id
from tests.benchmarks.peers.settings import asyncmy_options

WATCH_AFTER = timedelta(minutes=15)
POLL_MS, CONNECTIONS = 200, 8

LOCK_WEBHOOK = "SELECT payload, status FROM webhook_events WHERE id = %s FOR UPDATE"
FIND_LINK = (
    "SELECT id, payment_id, provider_reference, state FROM payment_attempts WHERE order_code = %s"
)
LOCK_PAYMENT = (
    "SELECT status, version, amount, amount_received, amount_applied, tenant_id, order_reference,"
    " currency, created_at, expires_at FROM payments WHERE id = %s FOR UPDATE"
)
FIND_RECEIPTS = (
    "SELECT amount, occurred_at FROM receipts WHERE provider = 'payos' AND provider_reference = %s"
    " AND bank_reference = %s"
)
ADD_RECEIPT = (
    "INSERT INTO receipts (id, payment_id, provider, order_code, provider_reference,"
    " bank_reference, amount, amount_applied, currency, disposition, occurred_at, recorded_at,"
    " payer_bank_id, payer_account_number, payer_account_name)"
    " VALUES (%s, %s, 'payos', %s, %s, %s, %s, %s, 'VND', 'applied', %s, %s, %s, %s, %s)"
)
LIST_EXCEPTIONS = (
    "SELECT id FROM money_exceptions WHERE payment_id = %s AND resolved_at IS NULL"
    " ORDER BY raised_at, id"
)
PAY = (
    "UPDATE payments SET status = 'paid', version = version + 1, amount_received = %s,"
    " amount_applied = %s, paid_at = %s, closed_at = %s, next_check_at = %s, checks = 0,"
    " updated_at = %s WHERE id = %s"
)
CLOSE_LINK = "UPDATE payment_attempts SET state = 'closed', closed_at = %s WHERE id = %s"
ADD_AUDIT = (
    "INSERT INTO audit_log (payment_id, at, actor, actor_id, action, from_status, to_status,"
    " version, amount) VALUES (%s, %s, 'webhook', %s, 'payment.paid', 'pending', 'paid', %s, %s)"
)
ADD_EVENT = (
    "INSERT INTO outbox_events (shard, topic, message_key, message_id, payload, headers, status,"
    " attempts, created_at) VALUES (%s, 'payments.events.v1', %s, %s, %s, '{}', 'pending', 0, %s)"
)
FINISH = (
    "UPDATE webhook_events SET status = 'applied', processed_at = %s, next_check_at = NULL,"
    " payment_id = %s WHERE id = %s"
)


async def apply(connection: Any, cursor: Any, webhook_id: str) -> None:
    """Apply a webhook that pays a payment in full."""
    await cursor.execute(LOCK_WEBHOOK, (webhook_id,))
    payload, status = await cursor.fetchone()
    if status != "received":
        await connection.rollback()
        return
    data = msgspec.json.decode(payload)["data"]
    link, reference = data["paymentLinkId"], data["reference"]
    now = datetime.now(UTC).replace(tzinfo=None)
    occurred_at = datetime.fromisoformat(data["transactionDateTime"]) - timedelta(hours=7)
    await cursor.execute(FIND_LINK, (data["orderCode"],))
    attempt_id, payment_id, known_link, _state = await cursor.fetchone()
    assert known_link == link, "the link is not the one of the order code"
    await cursor.execute(LOCK_PAYMENT, (payment_id,))
    payment = await cursor.fetchone()
    _status, version, asked, received, applied, *_rest = payment
    await cursor.execute(FIND_RECEIPTS, (link, reference))
    assert not await cursor.fetchall(), "this peer is never told twice"
    amount = data["amount"]
    assert applied + amount == asked, "this peer knows full payments only"
    await cursor.execute(
        ADD_RECEIPT,
        (
            new_id("rcp"), payment_id, data["orderCode"], link, reference, amount, amount,
            occurred_at, now, data["counterAccountBankId"], data["counterAccountNumber"],
            data["counterAccountName"],
        ),
    )  # fmt: skip
    await cursor.execute(LIST_EXCEPTIONS, (payment_id,))
    assert not await cursor.fetchall(), "this peer settles nothing"
    paid = (received + amount, applied + amount, now, now, now + WATCH_AFTER, now, payment_id)
    await cursor.execute(PAY, paid)
    await cursor.execute(CLOSE_LINK, (now, attempt_id))
    await cursor.execute(ADD_AUDIT, (payment_id, now, webhook_id, version + 1, amount))
    event = event_of(payment_id, payment, data, now)
    await cursor.execute(ADD_EVENT, (secrets.randbelow(16), payment_id, new_id("evt"), event, now))
    await cursor.execute(FINISH, (now, payment_id, webhook_id))
    await connection.commit()


def event_of(payment_id: str, payment: Any, data: dict[str, Any], now: datetime) -> bytes:
    """Write the event that tells of it."""
    _status, version, amount, _received, _applied, tenant, order, currency, made, ends = payment
    return msgspec.json.encode({
        "specversion": "1.0",
        "source": "/payment-service",
        "type": "payment.paid",
        "subject": payment_id,
        "time": now,
        "data": {
            "event_version": 1,
            "sequence": version + 1,
            "tenant_id": tenant,
            "payment": {
                "payment_id": payment_id,
                "status": "paid",
                "order_reference": order,
                "currency": currency,
                "amount": amount,
                "amount_received": amount,
                "provider": "payos",
                "provider_reference": str(data["orderCode"]),
                "created_at": made,
                "expires_at": ends,
                "paid_at": now,
            },
            "receipt": {"amount": data["amount"], "occurred_at": data["transactionDateTime"]},
        },
    })  # fmt: skip


async def main() -> None:
    """Consume until killed."""
    pool = await asyncmy.create_pool(minsize=CONNECTIONS, maxsize=CONNECTIONS, **asyncmy_options())
    consumer = AIOKafkaConsumer(
        os.environ["TOPIC"],
        bootstrap_servers=os.environ["KAFKA"],
        group_id="bench",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()

    async def work_on(records: list[Any]) -> None:
        async with pool.acquire() as connection, connection.cursor() as cursor:
            for record in records:
                await apply(connection, cursor, msgspec.json.decode(record.value)["webhook_id"])

    while True:
        batch = await consumer.getmany(timeout_ms=POLL_MS)
        if batch:
            await asyncio.gather(*(work_on(records) for records in batch.values()))
            await consumer.commit()


if __name__ == "__main__":
    uvloop.run(main())
