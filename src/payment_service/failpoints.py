"""Failpoints: a name for each moment at which a crash could lose or double something.

Every effect that outlives the process passes two of them: a commit, a call to the provider, a
publication, a commit of offsets, an answer. Tests arm them in their own process and kill it there
(tests/chaos); nothing outside the process can arm them, and unarmed they cost one comparison.

Source of the idea: pingcap/failpoint, tikv/fail-rs.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Act = Callable[[str], None]

_act: Act | None = None


def arm(act: Act | None) -> None:
    """Have `act` called with the name of every failpoint that is passed; None disarms."""
    global _act  # noqa: PLW0603  # one process, one switch
    _act = act


def passed(point: str) -> None:
    """Note that execution has come to a failpoint."""
    if _act is not None:
        _act(point)


def passed_next_turn(point: str) -> None:
    """Note it when the event loop has turned: what is written in a turn leaves at its end."""
    if _act is not None:
        asyncio.get_running_loop().call_soon(_act, point)


@contextmanager
def effect(name: str) -> Iterator[None]:
    """Surround an effect with its two failpoints, `<name>:before` and `<name>:after`."""
    passed(f"{name}:before")
    yield
    passed(f"{name}:after")
