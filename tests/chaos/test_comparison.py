"""The comparison bites: whatever is wrong in a ledger, it says so and names it."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from payment_service.messaging import topics
from payment_service.storage.models import (
    IdempotencyKey,
    OutboxEvent,
    Payment,
    PaymentAttempt,
    Reallocation,
    Receipt,
    Refund,
    WebhookEvent,
)
from tests.chaos.comparison import compare, count_repeats
from tests.chaos.ledgers import Books, Record, Stored

NOW = datetime(2026, 11, 24, tzinfo=UTC)
EVENTS = 3
ANSWER = (201, b"the answer")


def event(sequence: int) -> bytes:
    return json.dumps({"data": {"sequence": sequence}}).encode()


def make() -> Books:
    """Write the books of one payment that was paid in full and refunded in part."""
    payment = Payment(
        id="pay_1", status="partially_refunded", version=EVENTS, amount=100, amount_received=100,
        amount_applied=100, amount_refunded=40, amount_reserved=0,
    )  # fmt: skip
    attempt = PaymentAttempt(
        payment_id="pay_1", order_code=7, state="closed", provider_reference="link", qr_code="qr"
    )
    stored = Stored(
        payments={"pay_1": payment},
        attempts=[attempt],
        moves=[],
        receipts=[Receipt(payment_id="pay_1", order_code=7, bank_reference="FT1", amount=100)],
        refunds={"ref_1": Refund(id="ref_1", payment_id="pay_1", status="succeeded", amount=40)},
        outbox=[
            OutboxEvent(topic=topics.EVENTS, message_key="pay_1", message_id=f"evt_{number}",
                        payload=event(number), status="published")
            for number in range(1, EVENTS + 1)
        ],
        keys={"key": IdempotencyKey(key="key", state="done", response_status=ANSWER[0],
                                    response_body=ANSWER[1])},
        webhooks=[WebhookEvent(id="whk_1", status="applied", payload=b"{}")],
    )  # fmt: skip
    return Books(
        provider={
            "links": {"7": {"id": "link", "amount": 100, "status": "PAID", "paid": 100,
                            "transfers": [{"reference": "FT1", "amount": 100}]}},
            "payouts": {"p": {"reference": "ref_1-1", "amount": 40, "state": "SUCCEEDED"}},
        },
        stored=stored,
        log=[Record(topics.EVENTS, 0, "pay_1", f"evt_{number}", event(number))
             for number in range(1, EVENTS + 1)],
        answers={"key": ANSWER},
        payments_by_key={"key": "pay_1"},
    )  # fmt: skip


Change = Callable[[Books], Any]


def setting(row: Callable[[Books], Any], **values: Any) -> Change:
    """Change members of a row."""

    def change(books: Books) -> None:
        for name, value in values.items():
            setattr(row(books), name, value)

    return change


def payment(books: Books) -> Payment:
    return books.stored.payments["pay_1"]


def attempt(books: Books) -> PaymentAttempt:
    return books.stored.attempts[0]


def link(books: Books) -> dict[str, Any]:
    return dict.__getitem__(books.provider["links"], "7")


def payouts(books: Books) -> dict[str, Any]:
    return dict.__getitem__(books.provider, "payouts")


def webhook(books: Books) -> WebhookEvent:
    return books.stored.webhooks[0]


SECOND_PAYOUT = {"reference": "ref_1-2", "amount": 40, "state": "SUCCEEDED"}
WRONGS: dict[str, tuple[Change, str]] = {
    "a link that nobody knows": (
        lambda books: books.provider["links"].update({"8": link(books) | {"transfers": []}}),
        "link 8 at the provider is nobody's",
    ),
    "a link that the provider does not know": (
        lambda books: books.provider["links"].clear(), "the provider has none",
    ),
    "a link over another amount": (lambda books: link(books).update(amount=99), "asks 99, not 100"),
    "another link": (setting(attempt, provider_reference="other"), "is link, not other"),
    "a link left open": (lambda books: link(books).update(status="UNDERPAID"), "can still be paid"),
    "a transfer lost": (
        lambda books: link(books)["transfers"].append({"reference": "FT2", "amount": 1}),
        "transfer FT2 of 1 to link 7: 1 not on record",
    ),
    "a transfer invented": (lambda books: link(books).update(transfers=[]), "that nobody sent"),
    "a transfer counted twice": (
        setting(lambda books: books.stored, receipts=make().stored.receipts * 2), "nobody sent",
    ),
    "a sum that is off by one": (setting(payment, amount_received=101), "received 101"),
    "money moved out, and still there": (
        lambda books: books.stored.moves.append(
            Reallocation(from_payment_id="pay_1", to_payment_id="pay_2", amount=1)
        ),
        "by the provider 99",
    ),
    "a payment left pending": (setting(payment, status="pending"), "is still pending"),
    "paid without the money": (setting(payment, amount_applied=99), "with 99 applied"),
    "expired with the money": (setting(payment, status="expired"), "is expired with 100 applied"),
    "an attempt left open": (setting(attempt, state="opening"), "on record as opening"),
    "a payout without a refund": (lambda books: books.stored.refunds.clear(), "is nobody's"),
    "a refund paid out twice": (
        lambda books: payouts(books).update(q=SECOND_PAYOUT), "was paid out 2 times",
    ),
    "a refund never paid out": (lambda books: payouts(books).clear(), "was paid out 0 times"),
    "a payout of another amount": (
        lambda books: payouts(books)["p"].update(amount=41), "41, the refund 40",
    ),
    "money reserved for ever": (setting(payment, amount_reserved=1), "1 reserved"),
    "refunded more than received": (
        setting(payment, amount_refunded=200), "refunded more than received",
    ),
    "an answer of other bytes": (
        lambda books: books.answers.update(key=(201, b"other")), "key was answered 201",
    ),
    "an answer that is not on record": (
        lambda books: books.stored.keys.clear(), "key was answered 201 and is not on record",
    ),
    "a key without an answer": (
        lambda books: books.answers.clear(), "key is on record as done, and nobody",
    ),
    "one payment for two keys": (
        lambda books: books.payments_by_key.update(other="pay_1"), "the answer to 2 keys",
    ),
    "a message that was never written": (
        lambda books: books.log.append(replace(books.log[0], message_id="evt_9")),
        "evt_9 in payments.events.v1 was never written",
    ),
    "a message that never left": (lambda books: books.log.pop(), "evt_3 (published) never came"),
    "a message of other bytes": (
        lambda books: books.log.append(replace(books.log[0], value=event(9))), "not what was",
    ),
    "a message marked before it left": (
        setting(lambda books: books.stored.outbox[0], status="pending"), "on record as pending",
    ),
    "events out of order": (lambda books: books.log.reverse(), "told as [3, 2, 1]"),
    "a change that is not told": (setting(payment, version=4), "version 4, told as [1, 2, 3]"),
    "a webhook not applied": (setting(webhook, status="received"), "whk_1 is not applied"),
    "a webhook buried": (setting(webhook, status="dead"), "whk_1 is dead"),
    "poison applied": (setting(webhook, payload=b"POISON"), "whk_1 is applied"),
    "what the auditor finds": (
        lambda books: books.stored.violations.append(("a rule", "pay_1")), "pay_1: a rule",
    ),
}  # fmt: skip


def test_books_that_agree_have_no_difference() -> None:
    assert compare(make()) == []


@pytest.mark.parametrize("wrong", WRONGS)
def test_what_is_wrong_is_named(wrong: str) -> None:
    change, difference = WRONGS[wrong]
    books = make()

    change(books)

    assert any(difference in found for found in compare(books)), compare(books)


def test_repeated_messages_are_no_difference_but_are_counted() -> None:
    books = make()
    repeated = replace(books, log=[books.log[0], *books.log])

    assert compare(repeated) == []
    assert count_repeats(repeated) == 1
