"""Deadlines: passed down, only ever shortened, and kept within the lease of a request."""

import asyncio
import math

import pytest

from payment_service import bootstrap
from payment_service.api.calls import REQUEST_SECONDS
from payment_service.domain import idempotency
from payment_service.providers import deadline, guard
from payment_service.providers.deadline import (
    CALL_SECONDS_MIN,
    RECORD_SECONDS,
    seconds_for_call,
    within,
)
from payment_service.workers import scheduler


async def test_without_a_deadline_a_call_has_its_own_limit() -> None:
    assert seconds_for_call(8.0) == 8.0


async def test_a_call_gets_what_is_left_and_leaves_time_to_record() -> None:
    with within(5.0):
        assert seconds_for_call(2.0) == 2.0
        assert seconds_for_call(8.0) == pytest.approx(5.0 - RECORD_SECONDS, abs=0.5)


async def test_no_call_begins_with_too_little_time() -> None:
    with within(RECORD_SECONDS + CALL_SECONDS_MIN - 0.01):
        assert seconds_for_call(8.0) == 0


async def test_a_deadline_inside_can_only_be_earlier() -> None:
    with within(5.0):
        with within(100.0):
            assert seconds_for_call(50.0) < 5.0
        with within(0.0):
            assert seconds_for_call(50.0) == 0
        assert seconds_for_call(50.0) > 2.0
    assert seconds_for_call(math.inf) == math.inf


async def test_a_deadline_holds_in_tasks_that_begin_inside_and_nowhere_else() -> None:
    async def look() -> float:
        return seconds_for_call(50.0)

    with within(5.0):
        inside = asyncio.create_task(look())
    outside = asyncio.create_task(look())

    assert await inside < 5.0
    assert await outside == 50.0


def test_deadlines_end_before_leases_and_drains() -> None:
    lease = idempotency.LEASE.total_seconds()
    assert lease > 2 * REQUEST_SECONDS
    assert REQUEST_SECONDS < bootstrap.DRAIN_SECONDS
    assert scheduler.LEASE.total_seconds() > scheduler.ITEM_SECONDS
    assert lease > guard.CALL_SECONDS
    # After a first try that was waited for in vain there is time to ask what became of it.
    assert REQUEST_SECONDS - guard.TRY_SECONDS >= RECORD_SECONDS + CALL_SECONDS_MIN
    assert deadline.CALL_SECONDS_MIN < guard.TRY_SECONDS
