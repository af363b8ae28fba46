"""How long the work at hand may still take: set once where it begins, known to all that it calls.

A caller that waits for an answer does not wait for ever. So a call to a provider takes the less of
its own limit and of what is left, keeps some of that for recording the answer, and is not begun at
all when too little is left to be of use.
"""

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

RECORD_SECONDS = 1.5  # kept back, for writing down what the provider answered
CALL_SECONDS_MIN = 1.0  # a shorter call would mostly make unknown outcomes

_ends_at: ContextVar[float] = ContextVar("deadline", default=math.inf)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Have everything inside end in time; an earlier end from outside stays."""
    ends_at = min(_ends_at.get(), asyncio.get_running_loop().time() + seconds)
    token = _ends_at.set(ends_at)
    try:
        yield
    finally:
        _ends_at.reset(token)


def seconds_for_call(limit: float) -> float:
    """Return how long a call that begins now may take: `limit` or less, 0 when it is too late."""
    seconds = min(limit, _ends_at.get() - asyncio.get_running_loop().time() - RECORD_SECONDS)
    return seconds if seconds >= CALL_SECONDS_MIN else 0.0
