"""Makes metrics and logs of what a provider tells of its calls."""

from payment_service.providers.circuit_breaker import CircuitState
from payment_service.providers.notices import CallEnded, CircuitChanged, Notice, RetryWanted
from payment_service.telemetry.logging import get_logger
from payment_service.telemetry.metrics import CIRCUIT_STATES, Metrics

log = get_logger(__name__)


class Monitor:
    """What is told to it is counted; a circuit that changes is logged, too."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def __call__(self, notice: Notice) -> None:
        """Take a notice."""
        match notice:
            case CallEnded(operation, outcome, seconds):
                self._metrics.provider_calls.labels(operation, outcome).inc()
                if outcome != "held_back":  # nobody was called: it would make the calls look fast
                    self._metrics.provider_seconds.labels(operation).observe(seconds)
            case RetryWanted(operation, is_granted):
                outcome = "granted" if is_granted else "denied"
                self._metrics.provider_retries.labels(operation, outcome).inc()
            case CircuitChanged(operation, state, seconds):
                number = CIRCUIT_STATES.index(state)
                self._metrics.provider_circuits.labels(operation).set(number)
                report = log.info if state is CircuitState.CLOSED else log.warning
                report(
                    "provider.circuit_changed",
                    operation=operation,
                    state=state,
                    open_seconds=round(seconds, 1),
                )
