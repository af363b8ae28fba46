"""Quotas: granted at once, refilled by time, remembered for a bounded number of names."""

from datetime import timedelta

from payment_service.domain.clock import OffsetClock
from payment_service.domain.quota import Quota, Quotas


def frozen_clock() -> OffsetClock:
    now = OffsetClock()()
    return OffsetClock(lambda: now)


def test_a_quota_is_used_up_and_comes_back_with_time() -> None:
    clock = frozen_clock()
    quota = Quota(clock, per_minute=6, burst=2)

    assert [quota.take() for _ in range(3)] == [True, True, False]
    assert (quota.left, quota.seconds_until(1), quota.seconds_until(2)) == (0, 10, 20)

    clock.advance(timedelta(seconds=10))
    assert [quota.take() for _ in range(2)] == [True, False]

    clock.advance(timedelta(days=1))
    assert quota.left == 2


def test_names_have_quotas_of_their_own() -> None:
    quotas = Quotas(frozen_clock(), per_minute=1, burst=1, names_max=10)

    assert quotas.of("a").take()
    assert not quotas.of("a").take()
    assert quotas.of("b").take()


def test_only_the_names_seen_last_are_remembered() -> None:
    quotas = Quotas(frozen_clock(), per_minute=1, burst=1, names_max=2)
    quotas.of("a").take()
    quotas.of("b").take()
    quotas.of("a")
    quotas.of("c")

    assert not quotas.of("a").take()
    assert quotas.of("b").take()


def test_what_was_spent_beyond_the_quota_is_paid_back_first() -> None:
    clock = frozen_clock()
    quota = Quota(clock, per_minute=60, burst=2)

    quota.spend(4)
    clock.advance(timedelta(seconds=2))
    early = quota.take()
    clock.advance(timedelta(seconds=1))

    assert (early, quota.take(), quota.take()) == (False, True, False)
