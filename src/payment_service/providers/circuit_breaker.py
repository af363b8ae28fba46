"""A circuit breaker: leaves a provider alone while it is down, and finds out gently when it is up.

    closed ──(half of the calls failed)──▶ open ──(its time is up)──▶ half-open
      ▲                                     ▲                            │
      │                                     └────────(a probe failed)────┤
      └──────────────(several probes in a row succeeded)─────────────────┘

While half-open it lets out one call at a time: the probe. It needs no lock: it lives on one event
loop, and nothing awaits between asking and taking. Answers to calls that were let out in an earlier
state say nothing about this one, and change nothing.

Every library that was tried lets all waiting callers out at once when it becomes half-open.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

WINDOW_SECONDS = 20.0
SLICE_SECONDS = 2.0  # what falls out of the window at once
CALLS_MIN = 10  # fewer in the window tell nothing
OPEN_SECONDS = 5.0  # doubled each time that a probe fails
OPEN_SECONDS_MAX = 60.0
JITTER = 0.2  # of the time that it is open, either way
SUCCESSES_TO_CLOSE = 3
PAUSE_SECONDS = 1.0  # for a provider that asks for a pause, but not for how long
PAUSE_SECONDS_MAX = 60.0
PROBE_SECONDS = 1.0  # what a caller is told to wait for while a probe is under way
PROMISE_SECONDS = 2.0  # how long the next probe is kept for who was told to go ahead


class CircuitState(StrEnum):
    """Whether calls are let out: all, one at a time, none."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Permit:
    """The right to one call; it ends with `succeeded`, `failed` or `abandoned`, exactly once."""

    epoch: int  # the state that it was given in


class CircuitBreaker:
    """The circuit of one operation.

    Args:
        now: The time in seconds, from any start.
        random: A number from 0 to 1, for jitter.
        on_change: Told each new state, and for how many seconds it stays open.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float],
        random: Callable[[], float],
        on_change: Callable[[CircuitState, float], None],
    ) -> None:
        self._now = now
        self._random = random
        self._on_change = on_change
        self._state = CircuitState.CLOSED
        self._epoch = 0
        self._window = _Window()
        self._open_until = 0.0
        self._open_seconds = OPEN_SECONDS  # the next time
        self._paused_until = 0.0
        self._is_probing = False
        self._successes = 0  # of probes, in a row
        self._promised_until = 0.0

    @property
    def state(self) -> CircuitState:
        """The present state. It becomes half-open when somebody asks, not by itself."""
        self._let_probes_when_due()
        return self._state

    def seconds_to_wait(self) -> float:
        """Say after how long a call might be let out; 0 when one would be now."""
        self._let_probes_when_due()
        now = self._now()
        wait = self._paused_until - now
        if self._state is CircuitState.OPEN:
            wait = max(wait, self._open_until - now)
        elif self._is_probing:
            wait = max(wait, PROBE_SECONDS)
        return max(wait, 0.0)

    def ask(self) -> float:
        """Say like `seconds_to_wait` whether a call is worth preparing, to one at a time.

        Preparing takes a while, so all who ask would be told to go ahead, and all but one would
        have prepared in vain. The next probe is promised to the first; the promise runs out.
        """
        wait = self.seconds_to_wait()
        if wait > 0 or self._state is CircuitState.CLOSED:
            return wait
        promised = self._promised_until - self._now()
        if promised > 0:
            return promised
        self._promised_until = self._now() + PROMISE_SECONDS
        return 0.0

    def admit(self) -> Permit | None:
        """Let a call out, or not."""
        if self.seconds_to_wait() > 0:
            return None
        self._is_probing = self._state is CircuitState.HALF_OPEN
        return Permit(self._epoch)

    def succeeded(self, permit: Permit) -> None:
        """Note that the provider answered; a refusal is an answer, too."""
        if not self._ends(permit):
            return
        if self._state is CircuitState.CLOSED:
            self._window.add(self._now(), failed=False)
            return
        self._successes += 1
        self._promised_until = 0.0
        if self._successes >= SUCCESSES_TO_CLOSE:
            self._open_seconds = OPEN_SECONDS
            self._enter(CircuitState.CLOSED)

    def failed(self, permit: Permit) -> None:
        """Note that the provider could not be reached, was silent, or met an error of its own."""
        if not self._ends(permit):
            return
        if self._state is CircuitState.HALF_OPEN:
            self._open()
            return
        self._window.add(self._now(), failed=True)
        if self._window.is_bad(self._now()):
            self._open()

    def abandoned(self, permit: Permit) -> None:
        """Note that the call ended without telling anything, for example that it was cancelled."""
        self._ends(permit)

    def pause(self, seconds: float | None) -> None:
        """Let nothing out for as long as the provider asks; it is alive."""
        wanted = PAUSE_SECONDS if seconds is None else min(seconds, PAUSE_SECONDS_MAX)
        self._paused_until = max(self._paused_until, self._now() + wanted)

    def _ends(self, permit: Permit) -> bool:
        if permit.epoch != self._epoch:
            return False
        self._is_probing = False
        return True

    def _open(self) -> None:
        seconds = self._open_seconds * (1 + JITTER * (2 * self._random() - 1))
        self._open_seconds = min(self._open_seconds * 2, OPEN_SECONDS_MAX)
        self._open_until = self._now() + seconds
        self._enter(CircuitState.OPEN, seconds)

    def _let_probes_when_due(self) -> None:
        if self._state is CircuitState.OPEN and self._now() >= self._open_until:
            self._enter(CircuitState.HALF_OPEN)

    def _enter(self, state: CircuitState, seconds: float = 0.0) -> None:
        self._state = state
        self._epoch += 1
        self._window.clear()
        self._is_probing = False
        self._successes = 0
        self._promised_until = 0.0
        self._on_change(state, seconds)


@dataclass(slots=True)
class _Slice:
    began_at: float
    calls: int = 0
    failures: int = 0


class _Window:
    """The last calls, counted in slices of time: its size does not grow with the traffic."""

    def __init__(self) -> None:
        self._slices: deque[_Slice] = deque()

    def add(self, now: float, *, failed: bool) -> None:
        if not self._slices or now >= self._slices[-1].began_at + SLICE_SECONDS:
            self._forget(now)
            self._slices.append(_Slice(now))
        self._slices[-1].calls += 1
        self._slices[-1].failures += failed

    def is_bad(self, now: float) -> bool:
        self._forget(now)
        calls = sum(each.calls for each in self._slices)
        failures = sum(each.failures for each in self._slices)
        return calls >= CALLS_MIN and failures * 2 >= calls

    def clear(self) -> None:
        self._slices.clear()

    def _forget(self, now: float) -> None:
        while self._slices and now >= self._slices[0].began_at + WINDOW_SECONDS:
            self._slices.popleft()
