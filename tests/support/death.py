"""Lets a request die at a failpoint, as its process would, and leaves the process alive."""

from collections.abc import Iterator
from contextlib import contextmanager

from payment_service import failpoints


class Died(BaseException):
    """Not an `Exception`: nothing catches it, so nothing is cleaned up."""


@contextmanager
def death_at(point: str) -> Iterator[None]:
    """Have whoever passes the point first die there; fail when nobody does."""
    dead = False

    def act(passed: str) -> None:
        nonlocal dead
        if passed == point and not dead:
            dead = True
            raise Died(point)

    failpoints.arm(act)
    try:
        yield
    except Died:
        pass
    finally:
        failpoints.arm(None)
    assert dead, f"nobody passed {point}"
