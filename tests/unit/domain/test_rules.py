"""The rules of payments, receipts and refunds, as properties."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from payment_service.domain.clock import OffsetClock
from payment_service.domain.errors import InvalidStateTransition, RefundExceedsAvailable
from payment_service.domain.ids import ORDER_CODE_MAX, new_id, new_order_code, new_transfer_text
from payment_service.domain.payment import (
    SETTLED,
    TRANSITIONS,
    PaymentStatus,
    advance,
    status_after_refunds,
)
from payment_service.domain.quota import Quota
from payment_service.domain.receipt import Disposition, judge
from payment_service.domain.refund import check_refundable

AMOUNT = st.integers(1, 10**12)
AT = datetime(2026, 11, 24, tzinfo=UTC)


@given(st.sampled_from(PaymentStatus), st.sampled_from(PaymentStatus))
def test_only_listed_transitions_are_possible(
    current: PaymentStatus, target: PaymentStatus
) -> None:
    if target in TRANSITIONS[current]:
        assert advance(current, target) is target
    else:
        with pytest.raises(InvalidStateTransition):
            advance(current, target)


def test_failed_and_expired_are_final() -> None:
    assert TRANSITIONS[PaymentStatus.FAILED] == TRANSITIONS[PaymentStatus.EXPIRED] == frozenset()


def test_only_a_pending_payment_becomes_paid_for_the_first_time() -> None:
    sources = {status for status, targets in TRANSITIONS.items() if PaymentStatus.PAID in targets}
    assert sources - SETTLED == {PaymentStatus.PENDING}


@given(AMOUNT, st.lists(AMOUNT, max_size=6), st.randoms())
def test_order_of_transfers_does_not_change_the_sums(asked: int, amounts: list[int], r) -> None:
    def apply(sequence: list[int]) -> tuple[int, int, bool]:
        status, applied = PaymentStatus.PENDING, 0
        for amount in sequence:
            verdict = judge(status=status, asked=asked, applied=applied, amount=amount)
            applied += verdict.amount_applied
            status = PaymentStatus.PAID if verdict.settles else status
        return sum(sequence), applied, status is PaymentStatus.PAID

    shuffled = list(amounts)
    r.shuffle(shuffled)
    assert apply(amounts) == apply(shuffled)
    assert apply(amounts)[1] == min(asked, sum(amounts))


@given(st.integers(2, 10**12), st.sampled_from([-1, 0, 1]))
def test_a_payment_is_settled_by_the_last_dong(asked: int, more: int) -> None:
    verdict = judge(status=PaymentStatus.PENDING, asked=asked, applied=0, amount=asked + more)
    assert verdict.settles == (more >= 0)
    assert verdict.amount_applied == min(asked, asked + more)


@given(st.sampled_from([PaymentStatus.FAILED, PaymentStatus.EXPIRED]), AMOUNT, AMOUNT)
def test_money_for_a_closed_payment_is_never_applied(
    status: PaymentStatus, asked: int, amount: int
) -> None:
    verdict = judge(status=status, asked=asked, applied=0, amount=amount)
    assert (verdict.amount_applied, verdict.disposition) == (0, Disposition.LATE)
    assert not verdict.settles


@given(AMOUNT, st.integers(0, 10**12), st.integers(0, 10**12), AMOUNT)
def test_refund_is_allowed_exactly_while_money_is_left(
    received: int, refunded: int, reserved: int, wanted: int
) -> None:
    amounts = {"received": received, "refunded": refunded, "reserved": reserved}
    if refunded + reserved + wanted <= received:
        check_refundable(**amounts, wanted=wanted)
    else:
        with pytest.raises(RefundExceedsAvailable):
            check_refundable(**amounts, wanted=wanted)


@pytest.mark.parametrize(
    ("refunded", "status"), [(0, "paid"), (1, "partially_refunded"), (99, "partially_refunded"),
                             (100, "refunded")]
)  # fmt: skip
def test_status_follows_the_refunds(refunded: int, status: str) -> None:
    assert status_after_refunds(amount_applied=100, amount_refunded=refunded) == status


def test_ids_sort_by_time_and_order_codes_stay_exact_numbers() -> None:
    later = AT + timedelta(milliseconds=1)
    assert new_id("pay", AT) < new_id("pay", later)
    assert 10**9 < new_order_code(AT) < new_order_code(later) <= ORDER_CODE_MAX
    assert new_order_code(AT + timedelta(days=365 * 60)) <= ORDER_CODE_MAX


def test_transfer_text_fits_every_bank() -> None:
    text = new_transfer_text()
    assert len(text) == 9
    assert text.isascii()
    assert text.isalnum()


def test_quota_refills_with_time() -> None:
    clock = OffsetClock(lambda: AT)
    quota = Quota(clock, per_minute=60, burst=2)
    assert [quota.take() for _ in range(3)] == [True, True, False]
    clock.advance(timedelta(seconds=1))
    assert [quota.take() for _ in range(2)] == [True, False]


def test_quota_gives_all_that_is_asked_or_nothing() -> None:
    clock = OffsetClock(lambda: AT)
    quota = Quota(clock, per_minute=60, burst=3)

    assert [quota.take(2), quota.take(2), quota.take(1)] == [True, False, True]
