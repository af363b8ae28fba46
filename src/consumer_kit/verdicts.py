"""Compares what a consumer says with what is true."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from consumer_kit.histories import Belief
from consumer_kit.scenarios import Scenario

Report = Mapping[str, Mapping[str, Any]]
"""By payment id, any of status, sequence, amount_received, amount_refunded and times; times are by
type of event. What a consumer does not keep it leaves out; at least one of them it must tell."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a consumer stood a scenario."""

    scenario: str
    about: str
    faults: tuple[str, ...]

    @property
    def is_fine(self) -> bool:
        """Whether there was nothing wrong."""
        return not self.faults


def judge(scenario: Scenario, report: Report) -> Verdict:
    """Compare a report with what may be believed after a scenario."""
    # A type that is counted anywhere is counted everywhere: left out, it took effect no times.
    counted = {name for told in report.values() for name in told.get("times", {})}
    faults = [
        f"{payment_id}: {fault}"
        for payment_id, accepted in scenario.accepted.items()
        for fault in _faults(report.get(payment_id), accepted, counted)
    ]
    return Verdict(scenario.name, scenario.about, tuple(faults))


def stuck(scenario: Scenario, why: str) -> Verdict:
    """Say that a consumer did not come to the end of a scenario."""
    return Verdict(scenario.name, scenario.about, (why,))


def _faults(
    told: Mapping[str, Any] | None, accepted: tuple[Belief, ...], counted: set[str]
) -> list[str]:
    """List how it differs from the belief that it comes nearest to."""
    if not told:
        return ["nothing is told of it"]
    differences = [_differences(told, belief, counted) for belief in accepted]
    return min(differences, key=len)


def _differences(told: Mapping[str, Any], belief: Belief, counted: set[str]) -> list[str]:
    truth = asdict(belief)
    times = truth.pop("times")
    found = [
        f"{name} is {told[name]}, and should be {truth[name]}"
        for name in truth
        if name in told and told[name] != truth[name]
    ]
    if "times" in told:
        found += [
            f"{event_type} took effect {taken} times, and happened {happened} times"
            for event_type in sorted(counted)
            if (taken := told["times"].get(event_type, 0)) != (happened := times.get(event_type, 0))
        ]
    elif not set(truth) & set(told):
        found.append(f"none of {', '.join([*truth, 'times'])} is told of it")
    return found
