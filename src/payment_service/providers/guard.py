"""Lets calls out to a provider: in time, through the circuit of their operation, seldom twice.

A call is tried again only when it cannot act twice and the retry budget has something left. What a
provider's client has to say is how a request is sent and what the answer means.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from payment_service.providers import deadline
from payment_service.providers.circuit_breaker import (
    PAUSE_SECONDS,
    CircuitBreaker,
    CircuitState,
)
from payment_service.providers.notices import (
    CallEnded,
    CircuitChanged,
    Notify,
    RetryWanted,
    outcome_of,
)
from payment_service.providers.provider import (
    HeldBack,
    Operation,
    ProviderError,
    ProviderFailing,
    ProviderThrottled,
    RequestNotSent,
)
from payment_service.providers.retry_budget import RetryBudget

T = TypeVar("T")

TRY_SECONDS = 8.0  # one try, from the first byte to the last
CALL_SECONDS = 15.0  # all tries together, where the caller has no deadline
TRIES_MAX = 3
BACKOFF_SECONDS = 0.2
WAIT_SECONDS_MAX = 5.0  # between two tries; whoever should wait longer gets the error

Send = Callable[[float], Awaitable[T]]
"""Sends a request once; told how many seconds that may take."""

Sleep = Callable[[float], Awaitable[None]]


def loop_time() -> float:
    """Return the event loop's time in seconds."""
    return asyncio.get_running_loop().time()


class Guard:
    """The door of a process to one provider.

    Args:
        notify: Told how calls go.
        sleep: How to wait between tries.
        now: The time in seconds.
    """

    def __init__(
        self,
        notify: Notify,
        *,
        sleep: Sleep = asyncio.sleep,
        now: Callable[[], float] = loop_time,
    ) -> None:
        self._notify = notify
        self._sleep = sleep
        self._now = now
        self._budget = RetryBudget(now)
        self._circuits = {
            operation: CircuitBreaker(
                now=now, random=random.random, on_change=partial(self._tell_change, operation)
            )
            for operation in Operation
        }

    def check_ready(self, operation: Operation) -> None:
        """Return if a call now has a chance; see `PaymentProvider`."""
        seconds = self._circuits[operation].ask()
        if seconds > 0:
            self._notify(CallEnded(operation, "held_back", 0.0))
            raise _held_back(seconds)

    async def call(self, operation: Operation, send: Send[T], *, may_repeat: bool) -> T:
        """Send a request, and return its answer.

        Args:
            operation: What it is for.
            send: Sends it once.
            may_repeat: Whether it may be sent again though its outcome is unknown: reads.

        Raises:
            ProviderError: See `provider`.
        """
        started = self._now()
        outcome = "abandoned"
        try:
            with deadline.within(CALL_SECONDS):
                answer = await self._repeat(operation, send, may_repeat=may_repeat)
            outcome = "ok"
        except ProviderError as error:
            outcome = outcome_of(error)
            raise
        finally:
            self._notify(CallEnded(operation, outcome, self._now() - started))
        return answer

    async def _repeat(self, operation: Operation, send: Send[T], *, may_repeat: bool) -> T:
        self._budget.earn()
        for number in range(1, TRIES_MAX + 1):
            try:
                return await self._once(operation, send)
            except HeldBack:
                # True also of a retry: what comes here twice has not acted, or cannot act.
                raise
            except (RequestNotSent, ProviderFailing, ProviderThrottled) as error:
                is_safe = may_repeat or isinstance(error, RequestNotSent)
                delay = _delay(number, error)
                if not is_safe or number == TRIES_MAX or not self._may_wait(operation, delay):
                    raise
                if not self._may_spend(operation):
                    raise
            await self._sleep(delay)
        raise AssertionError("unreachable: the last try returns or raises")

    def _may_wait(self, operation: Operation, seconds: float) -> bool:
        """Tell whether a try after so long would be let out, and in time."""
        needed = seconds + deadline.CALL_SECONDS_MIN
        return (
            seconds <= WAIT_SECONDS_MAX
            and deadline.seconds_for_call(needed) == needed
            and self._circuits[operation].seconds_to_wait() <= seconds
        )

    def _may_spend(self, operation: Operation) -> bool:
        is_granted = self._budget.spend()
        self._notify(RetryWanted(operation, is_granted))
        return is_granted

    async def _once(self, operation: Operation, send: Send[T]) -> T:
        seconds = deadline.seconds_for_call(TRY_SECONDS)
        if seconds == 0:
            raise HeldBack("no time is left to ask the provider")
        circuit = self._circuits[operation]
        permit = circuit.admit()
        if permit is None:
            raise _held_back(circuit.seconds_to_wait())
        try:
            answer = await send(seconds)
        except ProviderThrottled as error:
            circuit.abandoned(permit)
            circuit.pause(error.retry_after_seconds)
            raise
        except (RequestNotSent, ProviderFailing):
            circuit.failed(permit)
            raise
        except ProviderError:
            circuit.succeeded(permit)  # it answered, if only with a refusal
            raise
        except BaseException:
            circuit.abandoned(permit)
            raise
        circuit.succeeded(permit)
        return answer

    def _tell_change(self, operation: Operation, state: CircuitState, seconds: float) -> None:
        self._notify(CircuitChanged(operation, state, seconds))


def _held_back(seconds: float) -> HeldBack:
    return HeldBack("the provider is left alone for now", retry_after_seconds=seconds)


def _delay(number: int, error: ProviderError) -> float:
    """Return the seconds before the next try, with full jitter: those who failed together part."""
    asked_for = error.retry_after_seconds
    if asked_for is None and isinstance(error, ProviderThrottled):
        asked_for = PAUSE_SECONDS
    if asked_for is not None:
        return asked_for + random.uniform(0, BACKOFF_SECONDS)  # noqa: S311
    return random.uniform(0, BACKOFF_SECONDS * 2**number)  # noqa: S311
