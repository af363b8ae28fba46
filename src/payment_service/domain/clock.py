"""What time it is: the only source of time in the service."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """Return the current instant, aware and in UTC."""
    return datetime.now(UTC)


class OffsetClock:
    """A clock that can be set ahead, for `dev` and tests; it never runs backwards."""

    def __init__(self, base: Clock = system_clock) -> None:
        self._base = base
        self._offset = timedelta()

    def __call__(self) -> datetime:
        return self._base() + self._offset

    @property
    def offset(self) -> timedelta:
        """How far ahead it is."""
        return self._offset

    def advance(self, by: timedelta) -> None:
        """Move on by a positive duration.

        Raises:
            ValueError: The duration is negative.
        """
        if by < timedelta():
            raise ValueError("a clock cannot be turned back")
        self._offset += by
