"""Compares the ledgers, to the dong. Every difference is a sentence with the ids that it is about.

Nothing here knows the stories: whatever happened, these things must be so.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator

from payment_service.messaging import topics
from payment_service.storage import outbox
from tests.chaos.ledgers import Books, Record

OPEN_AT_PROVIDER = {"PENDING", "UNDERPAID"}
SETTLED = {"paid", "partially_refunded", "refunded"}
FINAL = SETTLED | {"failed", "expired"}


def compare(books: Books) -> list[str]:
    """List all differences."""
    checks = (
        _links, _transfers, _statuses, _payouts, _answers, _messages, _events, _dead_letters,
        _auditor,
    )  # fmt: skip
    return [difference for check in checks for difference in check(books)]


def count_repeats(books: Books) -> int:
    """Count the messages that stand in the log more often than once."""
    return len(books.log) - len({record.message_id for record in books.log})


def _links(books: Books) -> Iterator[str]:
    """Every link at the provider is an attempt of ours; none of a payment's links is open."""
    links = {int(code): link for code, link in books.provider["links"].items()}
    attempts = {attempt.order_code: attempt for attempt in books.stored.attempts}
    for code in links.keys() - attempts.keys():
        yield f"link {code} at the provider is nobody's"
    for code, attempt in attempts.items():
        payment, link = books.stored.payments[attempt.payment_id], links.get(code)
        if link is None:
            if attempt.provider_reference is not None or attempt.qr_code is not None:
                yield f"{payment.id}: link {code} is on record, and the provider has none"
            continue
        if link["amount"] != payment.amount:
            yield f"{payment.id}: link {code} asks {link['amount']}, not {payment.amount}"
        if attempt.provider_reference not in {None, link["id"]}:
            yield f"{payment.id}: link {code} is {link['id']}, not {attempt.provider_reference}"
        if link["status"] in OPEN_AT_PROVIDER:
            yield f"{payment.id} is {payment.status}, and link {code} can still be paid"


def _transfers(books: Books) -> Iterator[str]:
    """Every transfer is one receipt, every receipt a transfer, and payments hold their sums.

    What was moved from payment to payment stays the same in sum.
    """
    sent = Counter(
        (int(code), transfer["reference"], transfer["amount"])
        for code, link in books.provider["links"].items()
        for transfer in link["transfers"]
    )
    booked = Counter(
        (receipt.order_code, receipt.bank_reference, receipt.amount)
        for receipt in books.stored.receipts
    )
    for (code, reference, amount), times in (sent - booked).items():
        yield f"transfer {reference} of {amount} to link {code}: {times} not on record"
    for (code, reference, amount), times in (booked - sent).items():
        yield f"receipt {reference} of {amount} to link {code}: {times} that nobody sent"
    received: Counter[str] = Counter()
    for attempt in books.stored.attempts:
        link = books.provider["links"].get(str(attempt.order_code))
        received[attempt.payment_id] += link["paid"] if link else 0
    for move in books.stored.moves:
        received[move.to_payment_id] += move.amount
        received[move.from_payment_id or ""] -= move.amount
    for payment in books.stored.payments.values():
        if payment.amount_received != received[payment.id]:
            yield (f"{payment.id}: received {payment.amount_received},"
                   f" by the provider {received[payment.id]}")  # fmt: skip


def _statuses(books: Books) -> Iterator[str]:
    """Every payment is decided, and settled exactly if its price is covered."""
    for payment in books.stored.payments.values():
        if payment.status not in FINAL:
            yield f"{payment.id} is still {payment.status}"
        if (payment.status in SETTLED) != (payment.amount_applied >= payment.amount):
            yield f"{payment.id} is {payment.status} with {payment.amount_applied} applied"
    for attempt in books.stored.attempts:
        if attempt.state != "closed":
            yield f"{attempt.payment_id}: link {attempt.order_code} is on record as {attempt.state}"


def _payouts(books: Books) -> Iterator[str]:
    """Every payout is a refund's, a refund is paid out once at most, and only if it succeeded."""
    paid_out: Counter[str] = Counter()
    for payout in books.provider["payouts"].values():
        refund_id = payout["reference"].rpartition("-")[0]
        refund = books.stored.refunds.get(refund_id)
        if refund is None:
            yield f"payout {payout['reference']} is nobody's"
        elif payout["amount"] != refund.amount:
            yield f"payout {payout['reference']}: {payout['amount']}, the refund {refund.amount}"
        if payout["state"] == "SUCCEEDED":
            paid_out[refund_id] += 1
    refunded: Counter[str] = Counter()
    for refund in books.stored.refunds.values():
        is_paid = refund.status == "succeeded"
        if refund.status == "pending" or paid_out[refund.id] != int(is_paid):
            yield f"{refund.id} is {refund.status}, and was paid out {paid_out[refund.id]} times"
        refunded[refund.payment_id] += refund.amount if is_paid else 0
    for payment in books.stored.payments.values():
        if payment.amount_refunded != refunded[payment.id] or payment.amount_reserved:
            yield (f"{payment.id}: refunded {payment.amount_refunded}, {payment.amount_reserved}"
                   f" reserved, its refunds say {refunded[payment.id]}")  # fmt: skip
        if payment.amount_refunded > payment.amount_received:
            yield f"{payment.id}: refunded more than received"


def _answers(books: Books) -> Iterator[str]:
    """What clients were told is on record, byte for byte; every key has a payment of its own."""
    keys = books.stored.keys
    for key, (status, body) in books.answers.items():
        row = keys.get(key)
        if row is None:
            yield f"{key} was answered {status} and is not on record"
        elif (row.response_status, row.response_body) != (status, body):
            yield f"{key} was answered {status}, on record is {row.state} {row.response_status}"
    for key in keys.keys() - books.answers.keys():
        yield f"{key} is on record as {keys[key].state}, and nobody got an answer"
    told = Counter(books.payments_by_key.values())
    for payment_id, times in told.items():
        if times > 1:
            yield f"{payment_id} was the answer to {times} keys"
    for payment_id in told.keys() - books.stored.payments.keys():
        yield f"{payment_id} was promised and is not on record"


def _messages(books: Books) -> Iterator[str]:
    """Every message of the outbox is in the log, as it was written, and nothing else is."""
    written = {row.message_id: row for row in books.stored.outbox}
    seen: dict[str, Record] = {}
    for record in books.log:
        first = seen.setdefault(record.message_id, record)
        row = written.get(record.message_id)
        if row is None:
            yield f"{record.message_id} in {record.topic} was never written"
        elif (row.topic, row.message_key, row.payload) != (record.topic, record.key, record.value):
            yield f"{record.message_id} in {record.topic} is not what was written"
        if record.partition != first.partition:
            yield f"{record.message_id} is in two partitions"
    for message_id, row in written.items():
        if message_id not in seen:
            yield f"{message_id} ({row.status}) never came to {row.topic}"
        elif row.status != outbox.PUBLISHED:
            yield f"{message_id} is in {row.topic} and on record as {row.status}"


def _events(books: Books) -> Iterator[str]:
    """The first copies of a payment's events come in order, without gaps, up to its version."""
    told: dict[str, list[int]] = defaultdict(list)
    seen: set[str] = set()
    for record in books.log:
        if record.topic != topics.EVENTS or record.message_id in seen:
            continue
        seen.add(record.message_id)
        told[record.key].append(json.loads(record.value)["data"]["sequence"])
    for payment in books.stored.payments.values():
        if told[payment.id] != list(range(1, payment.version + 1)):
            yield f"{payment.id}: version {payment.version}, told as {told[payment.id]}"
    for key in told.keys() - books.stored.payments.keys():
        yield f"{key} is told of and is not on record"


def _dead_letters(books: Books) -> Iterator[str]:
    """No webhook waits, and only poison is dead: it is told of in the dead-letter topic."""
    letters = {record.key for record in books.log if record.topic == topics.DEAD_LETTERS}
    for webhook in books.stored.webhooks:
        is_poison = b"POISON" in webhook.payload
        if webhook.status == "received":
            yield f"{webhook.id} is not applied"
        if (webhook.status == "dead") != is_poison and webhook.status != "rejected":
            yield f"{webhook.id} is {webhook.status}: {webhook.reason}"
        if (webhook.status == "dead") != (webhook.id in letters):
            yield f"{webhook.id} is {webhook.status}, in the dead-letter topic or not"


def _auditor(books: Books) -> Iterator[str]:
    """The service's own auditor finds nothing."""
    for rule, row in books.stored.violations:
        yield f"{row}: {rule}"
