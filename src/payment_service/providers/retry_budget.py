"""How many calls may be repeated: few, so that retries never make an outage worse.

Each retry is earned by ten calls. Where there are fewer, one retry in ten seconds is free; so calls
that are made at least once a second are never multiplied by more than 1.1.

Source of the idea: Twitter Finagle's RetryBudget.
"""

import math
from collections.abc import Callable

CALLS_PER_RETRY = 10
FREE_AFTER_SECONDS = 10.0  # without any retry
RETRIES_SAVED_MAX = 10  # a quiet day does not pay for a storm


class RetryBudget:
    """One budget, for all calls of a process to one provider.

    Args:
        now: The time in seconds, from any start.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._calls = 0  # that no retry was taken for
        self._last_retry = -math.inf

    def earn(self) -> None:
        """Note a call; its own retries do not count."""
        self._calls = min(self._calls + 1, RETRIES_SAVED_MAX * CALLS_PER_RETRY)

    def spend(self) -> bool:
        """Take a retry if there is one."""
        earned = self._calls >= CALLS_PER_RETRY
        if not earned and self._now() - self._last_retry < FREE_AFTER_SECONDS:
            return False
        if earned:
            self._calls -= CALLS_PER_RETRY
        self._last_retry = self._now()
        return True
