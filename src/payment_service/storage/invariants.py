"""What must hold for money, as SQL: the oracle of the tests and of `payment-service audit`.

Each query finds the rows that break a rule; a healthy database has none.
"""

from datetime import datetime, timedelta

from sqlalchemy import text

from payment_service.storage.database import Session

OVERDUE = timedelta(minutes=15)  # how late a check may be before it is a fault
FOUND_MAX = 100

QUERIES: dict[str, str] = {
    "refunds exceed what was received": """
        SELECT id FROM payments WHERE amount_refunded + amount_reserved > amount_received
           OR amount_refunded < 0 OR amount_reserved < 0""",
    "received is not the sum of the receipts": """
        SELECT p.id FROM payments p WHERE p.amount_received <> (
            SELECT COALESCE(SUM(r.amount), 0) FROM receipts r WHERE r.payment_id = p.id)""",
    "applied is not the sum of what receipts applied": """
        SELECT p.id FROM payments p WHERE p.amount_applied <> (
            SELECT COALESCE(SUM(r.amount_applied), 0) FROM receipts r
             WHERE r.payment_id = p.id)""",
    "refunded is not the sum of the succeeded refunds": """
        SELECT p.id FROM payments p WHERE p.amount_refunded <> (
            SELECT COALESCE(SUM(r.amount), 0) FROM refunds r
             WHERE r.payment_id = p.id AND r.status = 'succeeded')""",
    "reserved is not the sum of the pending refunds": """
        SELECT p.id FROM payments p WHERE p.amount_reserved <> (
            SELECT COALESCE(SUM(r.amount), 0) FROM refunds r
             WHERE r.payment_id = p.id AND r.status = 'pending')""",
    "settled without the money, or the money without being settled": """
        SELECT id FROM payments
         WHERE (status IN ('paid', 'partially_refunded', 'refunded')
                AND amount_applied < amount)
            OR (status NOT IN ('paid', 'partially_refunded', 'refunded')
                AND amount_applied >= amount)""",
    "the version is not the number of audit entries": """
        SELECT p.id FROM payments p WHERE p.version <> (
            SELECT COUNT(*) FROM audit_log a WHERE a.payment_id = p.id)""",
    "pending and not looked at": """
        SELECT id FROM payments WHERE status = 'pending'
           AND (next_check_at IS NULL OR next_check_at < :overdue)""",
    "a pending refund is not looked at": """
        SELECT id FROM refunds WHERE status = 'pending'
           AND (next_check_at IS NULL OR next_check_at < :overdue)""",
    "a webhook is not applied": """
        SELECT id FROM webhook_events WHERE status = 'received'
           AND (next_check_at IS NULL OR next_check_at < :overdue)""",
    "closed with an open link": """
        SELECT p.id FROM payments p JOIN payment_attempts a ON a.payment_id = p.id
         WHERE p.status <> 'pending' AND a.state <> 'closed'""",
}


async def find_violations(session: Session, *, now: datetime) -> list[tuple[str, str]]:
    """Return the rules that are broken, and by which rows."""
    overdue = (now - OVERDUE).replace(tzinfo=None)
    found: list[tuple[str, str]] = []
    for name, query in QUERIES.items():
        parameters = {"overdue": str(overdue)} if ":overdue" in query else {}
        rows = await session.execute(text(f"{query} LIMIT {FOUND_MAX}"), parameters)
        found += [(name, row[0]) for row in rows]
    return found
