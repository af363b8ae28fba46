"""What providers tell becomes metrics and log lines, under names that exist."""

import pytest
from structlog.testing import capture_logs

from payment_service.providers.circuit_breaker import CircuitState
from payment_service.providers.monitor import Monitor
from payment_service.providers.notices import CallEnded, CircuitChanged, RetryWanted, outcome_of
from payment_service.providers.provider import Operation, ProviderError
from payment_service.telemetry import metrics as catalogue
from payment_service.telemetry.metrics import Metrics


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(version="1.2.3")


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, {"provider": "payos", **labels})


def kinds(error: type[ProviderError]) -> list[type[ProviderError]]:
    return [error, *(kin for child in error.__subclasses__() for kin in kinds(child))]


def test_every_operation_and_outcome_has_a_series() -> None:
    outcomes = {outcome_of(kind("why")) for kind in kinds(ProviderError)}

    assert tuple(Operation) == catalogue.PROVIDER_OPERATIONS
    assert outcomes | {"ok", "abandoned"} == set(catalogue.PROVIDER_OUTCOMES)
    assert set(CircuitState) == set(catalogue.CIRCUIT_STATES)


def test_calls_and_retries_are_counted(metrics: Metrics) -> None:
    monitor = Monitor(metrics)
    monitor(CallEnded(Operation.CREATE, "unknown", 0.3))
    monitor(RetryWanted(Operation.GET, is_granted=True))
    monitor(RetryWanted(Operation.GET, is_granted=False))

    call = {"operation": "create"}
    assert value(metrics, "payments_provider_calls_total", **call, outcome="unknown") == 1
    assert value(metrics, "payments_provider_call_duration_seconds_sum", **call) == 0.3
    for outcome in ("granted", "denied"):
        labels = {"operation": "get", "outcome": outcome}
        assert value(metrics, "payments_provider_retries_total", **labels) == 1


def test_calls_that_were_not_made_do_not_look_fast(metrics: Metrics) -> None:
    Monitor(metrics)(CallEnded(Operation.CREATE, "held_back", 0.0))

    call = {"operation": "create"}
    assert value(metrics, "payments_provider_calls_total", **call, outcome="held_back") == 1
    assert value(metrics, "payments_provider_call_duration_seconds_count", **call) == 0


@pytest.mark.parametrize(
    ("state", "number", "level"),
    [
        (CircuitState.OPEN, 2, "warning"),
        (CircuitState.HALF_OPEN, 1, "warning"),
        (CircuitState.CLOSED, 0, "info"),
    ],
)
def test_a_change_of_the_circuit_is_shown_and_logged(
    metrics: Metrics, state: CircuitState, number: int, level: str
) -> None:
    with capture_logs() as lines:
        Monitor(metrics)(CircuitChanged(Operation.REFUND, state, 5.04))

    assert value(metrics, "payments_provider_circuit_state", operation="refund") == number
    assert lines == [
        {
            "event": "provider.circuit_changed",
            "log_level": level,
            "operation": "refund",
            "state": state,
            "open_seconds": 5.0,
        }
    ]
