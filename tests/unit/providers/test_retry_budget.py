"""The retry budget: however long the outage, retries add a tenth at most."""

from hypothesis import given, strategies as st

from payment_service.providers.retry_budget import (
    CALLS_PER_RETRY,
    FREE_AFTER_SECONDS,
    RETRIES_SAVED_MAX,
    RetryBudget,
)
from tests.support.ticking import Ticking


def test_an_outage_is_amplified_by_a_tenth_at_most() -> None:
    now = Ticking()
    budget = RetryBudget(now)
    calls, sent = 36_000, 0

    for _ in range(calls):  # an hour, ten calls a second, each of which would like two retries
        budget.earn()
        sent += 1 + budget.spend() + budget.spend()
        now.advance(0.1)

    assert 1.09 * calls < sent <= 1.1 * calls + 1  # the one that is free at the start


def test_a_quiet_process_may_retry_now_and_then() -> None:
    now = Ticking()
    budget = RetryBudget(now)

    assert [budget.spend(), budget.spend()] == [True, False]
    now.advance(FREE_AFTER_SECONDS)
    assert [budget.spend(), budget.spend()] == [True, False]


def test_good_times_do_not_pay_for_a_storm() -> None:
    budget = RetryBudget(Ticking())
    for _ in range(100_000):
        budget.earn()

    assert [budget.spend() for _ in range(100)].count(True) == RETRIES_SAVED_MAX


@given(st.lists(st.sampled_from(["call", "retry", 0.5, 4.0, 11.0]), max_size=300))
def test_retries_never_exceed_what_is_earned_and_what_is_free(moves: list[str | float]) -> None:
    now = Ticking()
    began = now()
    budget = RetryBudget(now)
    calls = retries = 0
    for move in moves:
        if move == "call":
            budget.earn()
            calls += 1
        elif move == "retry":
            retries += budget.spend()
        else:
            now.advance(move)

        free = (now() - began) / FREE_AFTER_SECONDS + 1
        assert retries <= calls / CALLS_PER_RETRY + free
