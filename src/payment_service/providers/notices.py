"""What a provider tells of its calls while they happen: for metrics and logs, not for decisions."""

from collections.abc import Callable
from dataclasses import dataclass

from payment_service.providers.circuit_breaker import CircuitState
from payment_service.providers.provider import (
    HeldBack,
    Operation,
    ProviderError,
    ProviderMisconfigured,
    RequestNotSent,
    RequestRejected,
)


@dataclass(frozen=True, slots=True)
class CallEnded:
    """A call came to its end, with all its tries."""

    operation: Operation
    outcome: str  # see `outcome_of`; "ok" and "abandoned" beside
    seconds: float


@dataclass(frozen=True, slots=True)
class RetryWanted:
    """A call could be tried again safely; that is granted while the budget lasts."""

    operation: Operation
    is_granted: bool


@dataclass(frozen=True, slots=True)
class CircuitChanged:
    """Calls of an operation are let out no longer, one at a time, or freely again."""

    operation: Operation
    state: CircuitState
    seconds: float  # that it stays open


Notice = CallEnded | RetryWanted | CircuitChanged
Notify = Callable[[Notice], None]


def outcome_of(error: ProviderError) -> str:
    """Name the outcome of a call that failed."""
    if isinstance(error, HeldBack):
        return "held_back"
    if isinstance(error, RequestNotSent):
        return "not_sent"
    if isinstance(error, ProviderMisconfigured):
        return "misconfigured"
    return "rejected" if isinstance(error, RequestRejected) else "unknown"
