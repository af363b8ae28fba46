"""What may be decided about odd money, and how much of it there is."""

from datetime import UTC, datetime, timedelta

import pytest

from payment_service.domain.money_exception import (
    Action,
    allowed_actions,
    available,
    was_in_time,
)
from payment_service.domain.payment import PaymentStatus
from payment_service.domain.receipt import ExceptionCode

CLOSED = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
CODE, STATUS = ExceptionCode, PaymentStatus


@pytest.mark.parametrize(
    ("code", "status", "refundable", "excess_left", "expected"),
    [
        (CODE.LATE, STATUS.EXPIRED, 100, 0, 40),  # all of it is there
        (CODE.LATE, STATUS.EXPIRED, 30, 0, 30),  # refunds took some
        (CODE.OVERPAID, STATUS.PAID, 140, 40, 40),
        (CODE.OVERPAID, STATUS.PAID, 140, 10, 10),  # the price is no excess
        (CODE.OVERPAID, STATUS.PAID, 140, -5, 0),  # more was given back than there was
        (CODE.DUPLICATE_TRANSFER, STATUS.REFUNDED, 40, 40, 40),
        (CODE.REFUND_RETURNED, STATUS.PAID, 100, 0, 40),  # it was of the price
    ],
)
def test_no_more_is_available_than_is_there(
    code: CODE, status: STATUS, refundable: int, excess_left: int, expected: int
) -> None:
    found = available(code, status=status, held=40, refundable=refundable, excess_left=excess_left)

    assert found == expected


@pytest.mark.parametrize("code", [code for code in CODE if code != CODE.UNMATCHED])
@pytest.mark.parametrize("status", STATUS)
def test_without_money_an_exception_can_only_be_kept(code: CODE, status: STATUS) -> None:
    waits = (code, status) == (CODE.UNDERPAID, STATUS.PENDING)

    assert allowed_actions(code, status=status, available=0) == (() if waits else (Action.KEEP,))


def test_pending_payment_is_not_decided_about_while_the_payer_may_complete_it() -> None:
    assert allowed_actions(CODE.UNDERPAID, status=STATUS.PENDING, available=40) == ()
    assert allowed_actions(CODE.UNDERPAID, status=STATUS.FAILED, available=40) == tuple(Action)


def test_money_of_nobody_cannot_be_given_back() -> None:
    actions = allowed_actions(CODE.UNMATCHED, status=None, available=40)

    assert actions == (Action.APPLY, Action.KEEP)


@pytest.mark.parametrize(
    ("seconds", "expires_in", "expected"),
    [(0, 0, True), (1, 0, False), (1, 60, False), (-1, 60, True), (-1, -1, True), (0, -1, False)],
)
def test_the_deadline_is_kept_until_it_is_over_or_the_payment_was_closed(
    seconds: int, expires_in: int, *, expected: bool
) -> None:
    in_time = was_in_time(
        CLOSED + timedelta(seconds=seconds),
        expires_at=CLOSED + timedelta(seconds=expires_in),
        closed_at=CLOSED,
    )

    assert in_time is expected
