"""What must hold for money, as SQL: the oracle of the tests, the auditor and the operators.

Each query finds the rows that break a rule; a healthy database has none, at any committed moment.
A query either names `:payments`, looks at those payments only and tells the ids of some of them, or
it looks at what waits, and an index holds it to the rows that wait too long. So all of them are
cheap enough to run for ever.

What SQL cannot see is proven elsewhere: rights (docs/database.md), logs, and the provider's books.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache

from sqlalchemy import TextClause, bindparam, select, text

from payment_service.domain.ids import ORDER_CODE_FLOOR
from payment_service.domain.payment import TRANSITIONS
from payment_service.storage import outbox
from payment_service.storage.database import Session
from payment_service.storage.models import Payment
from payment_service.storage.types import UtcDateTime

OVERDUE = timedelta(minutes=15)  # how late a check may be before it is a fault
WATCH_OVERDUE = timedelta(hours=6)  # the same, where nothing is known to be missing
FOUND_MAX = 100  # rows told of one rule and one chunk
CHUNK_MAX = 500  # payments looked at in one go

_EDGES = " OR ".join(
    f"(a.from_status = '{source}' AND a.to_status IN ({', '.join(f'{t!r}' for t in map(str, to))}))"
    for source, to in TRANSITIONS.items()
    if to
)

QUERIES: dict[str, str] = {
    # --- sums ---------------------------------------------------------------------------------
    "refunds exceed what was received": """
        SELECT p.id FROM payments p WHERE p.id IN :payments
           AND (p.amount_refunded + p.amount_reserved > p.amount_received
                OR p.amount_refunded < 0 OR p.amount_reserved < 0)""",
    "received is not the receipts, plus what moved in, minus what moved out": """
        SELECT p.id FROM payments p WHERE p.id IN :payments AND p.amount_received <> (
            SELECT COALESCE(SUM(r.amount), 0) FROM receipts r WHERE r.payment_id = p.id) + (
            SELECT COALESCE(SUM(m.amount), 0) FROM reallocations m
             WHERE m.to_payment_id = p.id) - (
            SELECT COALESCE(SUM(m.amount), 0) FROM reallocations m
             WHERE m.from_payment_id = p.id)""",
    "applied is not what receipts and moves applied, minus what moves released": """
        SELECT p.id FROM payments p WHERE p.id IN :payments AND p.amount_applied <> (
            SELECT COALESCE(SUM(r.amount_applied), 0) FROM receipts r
             WHERE r.payment_id = p.id) + (
            SELECT COALESCE(SUM(m.amount_applied), 0) FROM reallocations m
             WHERE m.to_payment_id = p.id) - (
            SELECT COALESCE(SUM(m.amount_released), 0) FROM reallocations m
             WHERE m.from_payment_id = p.id)""",
    "more of a transfer moved out of a payment than came to it": """
        SELECT o.from_payment_id FROM reallocations o JOIN receipts r ON r.id = o.receipt_id
         WHERE o.from_payment_id IN :payments
         GROUP BY o.receipt_id, o.from_payment_id, r.payment_id, r.amount
        HAVING SUM(o.amount) > (
            CASE WHEN o.from_payment_id = r.payment_id THEN r.amount ELSE 0 END) + (
            SELECT COALESCE(SUM(i.amount), 0) FROM reallocations i
             WHERE i.receipt_id = o.receipt_id AND i.to_payment_id = o.from_payment_id)""",
    "refunded is not the sum of the succeeded refunds": """
        SELECT p.id FROM payments p WHERE p.id IN :payments AND p.amount_refunded <> (
            SELECT COALESCE(SUM(r.amount), 0) FROM refunds r
             WHERE r.payment_id = p.id AND r.status = 'succeeded')""",
    "reserved is not the sum of the pending refunds": """
        SELECT p.id FROM payments p WHERE p.id IN :payments AND p.amount_reserved <> (
            SELECT COALESCE(SUM(r.amount), 0) FROM refunds r
             WHERE r.payment_id = p.id AND r.status = 'pending')""",
    "an amount is not positive": """
        SELECT p.id FROM payments p WHERE p.id IN :payments AND p.amount <= 0
        UNION ALL SELECT r.payment_id FROM receipts r WHERE r.payment_id IN :payments
           AND (r.amount <= 0 OR r.amount_applied < 0 OR r.amount_applied > r.amount)
        UNION ALL SELECT f.payment_id FROM refunds f
         WHERE f.payment_id IN :payments AND f.amount <= 0""",
    "money of another currency": """
        SELECT r.payment_id FROM receipts r JOIN payments p ON p.id = r.payment_id
         WHERE r.payment_id IN :payments AND r.currency <> p.currency
        UNION ALL SELECT f.payment_id FROM refunds f JOIN payments p ON p.id = f.payment_id
         WHERE f.payment_id IN :payments AND f.currency <> p.currency""",
    "a transfer is recorded twice": """
        SELECT r.payment_id FROM receipts r JOIN receipts o
            ON o.provider = r.provider AND o.provider_reference = r.provider_reference
           AND o.bank_reference = r.bank_reference AND o.amount = r.amount
           AND o.occurred_at = r.occurred_at AND o.id <> r.id
         WHERE r.payment_id IN :payments""",
    "a receipt is not of a link of its payment": """
        SELECT r.payment_id FROM receipts r WHERE r.payment_id IN :payments AND NOT EXISTS (
            SELECT 1 FROM payment_attempts a
             WHERE a.order_code = r.order_code AND a.payment_id = r.payment_id)""",
    "odd money that nobody was asked about": """
        SELECT r.payment_id FROM receipts r WHERE r.payment_id IN :payments
           AND r.disposition IN ('late', 'excess') AND NOT EXISTS (
            SELECT 1 FROM money_exceptions e
             WHERE e.payment_id = r.payment_id AND e.receipt_id = r.id)
        UNION ALL SELECT p.id FROM payments p WHERE p.id IN :payments
           AND p.status IN ('failed', 'expired') AND p.amount_applied > 0 AND NOT EXISTS (
            SELECT 1 FROM money_exceptions e
             WHERE e.payment_id = p.id AND e.code = 'underpaid')""",
    "a returned refund that nobody was asked about": """
        SELECT f.payment_id FROM refunds f WHERE f.payment_id IN :payments
           AND f.status = 'failed' AND f.succeeded_at IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM audit_log a JOIN money_exceptions e ON e.id = a.exception_id
             WHERE a.payment_id = f.payment_id AND a.refund_id = f.id
               AND a.action = 'refund.failed' AND e.payment_id = f.payment_id)""",
    "a question about money is closed without an answer": """
        SELECT e.payment_id FROM money_exceptions e WHERE e.payment_id IN :payments
           AND e.resolved_at IS NOT NULL AND e.resolution IS NULL""",
    "an exception was applied and no money moved, or the other way round": """
        SELECT e.payment_id FROM money_exceptions e
         WHERE e.payment_id IN :payments AND e.resolution = 'applied' AND NOT EXISTS (
            SELECT 1 FROM reallocations m WHERE m.exception_id = e.id
               AND m.from_payment_id = e.payment_id)
        UNION ALL SELECT m.to_payment_id FROM reallocations m
         WHERE m.to_payment_id IN :payments AND NOT EXISTS (
            SELECT 1 FROM money_exceptions e
             WHERE e.id = m.exception_id AND e.resolution = 'applied'
               AND e.resolution_payment_id = m.to_payment_id
               AND e.resolution_amount = m.amount)""",
    "an exception was refunded by a refund that is none, or failed": """
        SELECT e.payment_id FROM money_exceptions e WHERE e.payment_id IN :payments
           AND (COALESCE(e.resolution, '') = 'refunded') <> EXISTS (
            SELECT 1 FROM refunds f WHERE f.id = e.resolution_refund_id
               AND f.payment_id = e.payment_id AND f.status <> 'failed')""",
    # --- statuses -----------------------------------------------------------------------------
    "settled without the money, or the money without being settled": """
        SELECT p.id FROM payments p WHERE p.id IN :payments
           AND ((p.status IN ('paid', 'partially_refunded', 'refunded')
                 AND p.amount_applied < p.amount)
             OR (p.status NOT IN ('paid', 'partially_refunded', 'refunded')
                 AND p.amount_applied >= p.amount))""",
    "the status does not say what was refunded": """
        SELECT p.id FROM payments p WHERE p.id IN :payments
           AND ((p.status = 'refunded' AND p.amount_refunded < p.amount_applied)
             OR (p.status = 'partially_refunded' AND p.amount_refunded <= 0)
             OR (p.status = 'paid'
                 AND p.amount_refunded > p.amount_received - p.amount_applied))""",
    "a status without its time or its reason": """
        SELECT p.id FROM payments p WHERE p.id IN :payments
           AND ((p.status = 'pending' AND p.closed_at IS NOT NULL)
             OR (p.status <> 'pending' AND p.closed_at IS NULL)
             OR (p.status IN ('paid', 'partially_refunded', 'refunded') AND p.paid_at IS NULL)
             OR (p.status = 'failed' AND p.failure_reason IS NULL))
        UNION ALL SELECT f.payment_id FROM refunds f WHERE f.payment_id IN :payments
           AND ((f.status = 'pending' AND (f.pending_reason IS NULL OR f.next_check_at IS NULL))
             OR (f.status = 'succeeded' AND f.succeeded_at IS NULL)
             OR (f.status = 'failed' AND f.failure_reason IS NULL))""",
    "a refund of another tenant": """
        SELECT f.payment_id FROM refunds f JOIN payments p ON p.id = f.payment_id
         WHERE f.payment_id IN :payments AND f.tenant_id <> p.tenant_id""",
    # --- links --------------------------------------------------------------------------------
    "closed with an open link": """
        SELECT p.id FROM payments p JOIN payment_attempts a ON a.payment_id = p.id
         WHERE p.id IN :payments AND p.status <> 'pending' AND a.state <> 'closed'""",
    "pending without one live link": """
        SELECT p.id FROM payments p
         WHERE p.id IN :payments AND p.status = 'pending' AND 1 <> (
            SELECT COUNT(*) FROM payment_attempts a
             WHERE a.payment_id = p.id AND a.state <> 'closed')""",
    "an order code that is used twice or that we did not make": f"""
        SELECT a.payment_id FROM payment_attempts a WHERE a.payment_id IN :payments
           AND (a.order_code < {ORDER_CODE_FLOOR} OR EXISTS (
                SELECT 1 FROM payment_attempts o
                 WHERE o.order_code = a.order_code AND o.id <> a.id))""",  # noqa: S608  # a number
    # --- history ------------------------------------------------------------------------------
    "the version is not the number of audit entries": """
        SELECT p.id FROM payments p
          LEFT JOIN audit_log a ON a.payment_id = p.id
         WHERE p.id IN :payments
         GROUP BY p.id, p.version
        HAVING COUNT(a.id) <> p.version OR COUNT(DISTINCT a.version) <> p.version
            OR COALESCE(MIN(a.version), 1) <> 1 OR COALESCE(MAX(a.version), 0) <> p.version""",
    "the status is not what the audit log comes to": """
        SELECT p.id FROM payments p
         WHERE p.id IN :payments AND (p.version > 0 OR p.status <> 'pending') AND NOT EXISTS (
            SELECT 1 FROM audit_log a WHERE a.payment_id = p.id
               AND a.version = p.version AND a.to_status = p.status)""",
    "the audit log has a break": """
        SELECT a.payment_id FROM audit_log a
          LEFT JOIN audit_log b ON b.payment_id = a.payment_id AND b.version = a.version - 1
         WHERE a.payment_id IN :payments
           AND COALESCE(a.from_status, 'pending') <> COALESCE(b.to_status, 'pending')""",
    "a change of status that is not allowed": f"""
        SELECT a.payment_id FROM audit_log a WHERE a.payment_id IN :payments
           AND a.from_status <> a.to_status AND NOT ({_EDGES})""",  # noqa: S608  # words of the domain
    # One count for each status: with IN, MySQL reads all messages of a status for each payment.
    "a change without its event": """
        SELECT p.id FROM payments p
         WHERE p.id IN :payments AND p.created_at > :events_kept AND p.version <> (
            SELECT COUNT(*) FROM outbox_events o WHERE o.status = 'pending'
               AND o.message_key = p.id AND o.topic = 'payments.events.v1') + (
            SELECT COUNT(*) FROM outbox_events o WHERE o.status = 'published'
               AND o.message_key = p.id AND o.topic = 'payments.events.v1') + (
            SELECT COUNT(*) FROM outbox_events o WHERE o.status = 'refused'
               AND o.message_key = p.id AND o.topic = 'payments.events.v1')""",
    # --- what waits ---------------------------------------------------------------------------
    "pending and not looked at": """
        SELECT id FROM payments WHERE status = 'pending'
           AND (next_check_at IS NULL OR next_check_at < :overdue)""",
    "closed, to be watched, and not looked at": """
        SELECT id FROM payments WHERE next_check_at < :watch_overdue AND status <> 'pending'""",
    "a pending refund is not looked at": """
        SELECT id FROM refunds WHERE next_check_at < :overdue AND status = 'pending'""",
    "a refund, to be watched, and not looked at": """
        SELECT id FROM refunds WHERE next_check_at < :watch_overdue AND status <> 'pending'""",
    "nobody's money, and no operator was asked, or more of it moved than came": """
        SELECT r.id FROM receipts r WHERE r.payment_id IS NULL AND (NOT EXISTS (
            SELECT 1 FROM money_exceptions e
             WHERE e.receipt_id = r.id AND e.code = 'unmatched')
            OR r.amount < (
            SELECT COALESCE(SUM(m.amount), 0) FROM reallocations m
             WHERE m.receipt_id = r.id AND m.from_payment_id IS NULL))""",
    "a webhook is not applied": """
        SELECT id FROM webhook_events WHERE status = 'received'
           AND (next_check_at IS NULL OR next_check_at < :overdue)""",
    "a request has died and nobody went on": """
        SELECT resource_id FROM idempotency_keys
         WHERE state = 'in_progress' AND next_check_at < :overdue""",
    "a message is not published": """
        SELECT message_id FROM outbox_events
         WHERE status = 'refused' OR (status = 'pending' AND created_at < :overdue)""",
}

RULES_OF_PAYMENTS = tuple(rule for rule, query in QUERIES.items() if ":payments" in query)
RULES_OF_QUEUES = tuple(rule for rule in QUERIES if rule not in RULES_OF_PAYMENTS)

Violation = tuple[str, str]  # the broken rule, and the row that breaks it


async def find_violations(session: Session, *, now: datetime) -> list[Violation]:
    """Look at every row, a chunk at a time; return the rules that are broken, and by which rows."""
    found = await audit_queues(session, now=now)
    after = ""
    while chunk := await list_chunk(session, after=after):
        found += await audit_payments(session, chunk, now=now)
        after = chunk[-1]
    return found


async def audit_payments(
    session: Session, payments: Sequence[str], *, now: datetime
) -> list[Violation]:
    """Check every rule about payments for some of them: at most `CHUNK_MAX`."""
    assert len(payments) <= CHUNK_MAX
    return await _run(session, RULES_OF_PAYMENTS, now=now, payments=list(payments))


async def audit_queues(session: Session, *, now: datetime) -> list[Violation]:
    """Check every rule about what waits."""
    return await _run(session, RULES_OF_QUEUES, now=now)


async def list_chunk(session: Session, *, after: str) -> Sequence[str]:
    """Name the next payments after an id, of all."""
    query = select(Payment.id).where(Payment.id > after).order_by(Payment.id).limit(CHUNK_MAX)
    return (await session.scalars(query)).all()


async def list_changed(
    session: Session, *, after: tuple[datetime, str]
) -> Sequence[tuple[datetime, str]]:
    """Name the next payments (updated_at, id) that changed after a position."""
    at, payment_id = after
    query = (
        select(Payment.updated_at, Payment.id)
        .where(
            Payment.updated_at >= at,
            (Payment.updated_at > at) | (Payment.id > payment_id),
        )
        .order_by(Payment.updated_at, Payment.id)
        .limit(CHUNK_MAX)
    )
    return [(row.updated_at, row.id) for row in await session.execute(query)]


async def _run(
    session: Session, rules: Sequence[str], *, now: datetime, payments: Sequence[str] = ()
) -> list[Violation]:
    instants = {
        "overdue": now - OVERDUE,
        "watch_overdue": now - WATCH_OVERDUE,
        "events_kept": now - outbox.KEPT,
    }
    found: list[Violation] = []
    for rule in rules:
        query = QUERIES[rule]
        values = [
            bindparam(name, at, type_=UtcDateTime)
            for name, at in instants.items()
            if f":{name}" in query
        ]
        if ":payments" in query:
            values.append(bindparam("payments", payments, expanding=True))
        statement = _text(query).bindparams(*values)
        rows = (await session.execute(statement)).scalars()
        found += [(rule, row) for row in dict.fromkeys(rows)]
    return found


@cache
def _text(query: str) -> TextClause:
    return text(f"{query} LIMIT {FOUND_MAX}")
