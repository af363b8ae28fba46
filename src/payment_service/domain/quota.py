"""A quota: so many now, and so many more as time passes (a token bucket)."""

from payment_service.domain.clock import Clock


class Quota:
    """Grants at most `burst` at once and `per_minute` in the long run. One process, one thread."""

    def __init__(self, clock: Clock, *, per_minute: float, burst: int) -> None:
        self._clock = clock
        self._per_second = per_minute / 60
        self._burst = burst
        self._left = float(burst)
        self._since = clock()

    def take(self, count: int = 1) -> bool:
        """Take `count` if there are so many; else take none."""
        now = self._clock()
        gained = max(0.0, (now - self._since).total_seconds()) * self._per_second
        self._left = min(float(self._burst), self._left + gained)
        self._since = now
        if self._left < count:
            return False
        self._left -= count
        return True
