"""Quotas: so many now, and so many more as time passes (token buckets)."""

import math
from collections import OrderedDict

from payment_service.domain.clock import Clock


class Quota:
    """Grants at most `burst` at once and `per_minute` in the long run. One process, one thread."""

    def __init__(self, clock: Clock, *, per_minute: float, burst: int) -> None:
        self._clock = clock
        self._per_second = per_minute / 60
        self._burst = burst
        self._left = float(burst)
        self._since = clock()

    @property
    def left(self) -> int:
        """How many can be taken now."""
        now = self._clock()
        gained = max(0.0, (now - self._since).total_seconds()) * self._per_second
        self._left = min(float(self._burst), self._left + gained)
        self._since = now
        return int(self._left)

    def take(self, count: int = 1) -> bool:
        """Take `count` if there are so many; else take none."""
        if self.left < count:
            return False
        self._left -= count
        return True

    def spend(self, count: int) -> None:
        """Take `count` for what was done already: if need be, what time will bring."""
        self._left -= count

    def seconds_until(self, number: int) -> int:
        """Tell after how many whole seconds so many can be taken, if nobody takes any."""
        return math.ceil(max(0.0, number - self._left) / self._per_second)


class Quotas:
    """A quota for each of many names. Only the `names_max` seen last are remembered."""

    def __init__(self, clock: Clock, *, per_minute: float, burst: int, names_max: int) -> None:
        self._clock = clock
        self._per_minute = per_minute
        self._burst = burst
        self._names_max = names_max
        self._quotas: OrderedDict[str, Quota] = OrderedDict()

    def of(self, name: str) -> Quota:
        """Return the quota of a name."""
        quota = self._quotas.get(name)
        if quota is None:
            quota = Quota(self._clock, per_minute=self._per_minute, burst=self._burst)
            self._quotas[name] = quota
            if len(self._quotas) > self._names_max:
                self._quotas.popitem(last=False)
        self._quotas.move_to_end(name)
        return quota
