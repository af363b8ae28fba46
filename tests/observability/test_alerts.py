"""Every alert fires when it should, not a moment before, and is over when its cause is.

promtool plays the series; the limits, the waits and the windows are then made wrong one by one,
and each time some case must notice.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.observability.alert_cases import CASES, NEVER, ROLES, Case, Phases
from tests.support.prometheus import run

RULES = Path(__file__).parents[2] / "deploy/prometheus/rules.yml"

pytestmark = pytest.mark.stack


def rules() -> dict[str, Any]:
    """Read the rules by the name of the alert or the recording."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {
        rule.get("alert") or rule["record"]: rule for group in groups for rule in group["rules"]
    }


def played(values: Phases, case: Case, *, is_counter: bool) -> str:
    """Write a series in promtool's notation, one number a step."""
    written, at = [], 0.0
    for value, minutes in zip(values, case.minutes, strict=True):
        times = minutes // case.step
        if is_counter:
            written.append(f"{at:.10g}+{value * case.step:.10g}x{times - 1}")
            at += value * case.step * times
        else:
            written.append(f"{value:.10g}x{times - 1}")
    return " ".join(written)


def expectations(case: Case) -> list[dict[str, Any]]:
    """Say when the alert fires: at no time, or for a while."""
    extra = f", {case.labels}" if case.labels else ""
    firing = f'ALERTS{{alertname="{case.alert}", alertstate="firing", severity="{case.severity}"'
    quiet, bad, again = case.minutes
    start = quiet + case.after
    if case.holds == NEVER:
        times = dict.fromkeys(range(1, sum(case.minutes), 5 * case.step), False)
    else:
        times = {
            quiet - case.step: False,
            start + case.holds - case.step: False,
            start + case.holds + case.step: True,
            quiet + bad - case.step: True,
            quiet + bad + again - case.step: False,
        }
        if case.holds == 0:
            del times[start + case.holds - case.step]
    return [
        {
            "expr": f'ALERTS{{alertname="{case.alert}", alertstate="firing"}}',
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": firing + extra + "}", "value": 1}] if fires else [],
        }
        for minute, fires in times.items()
    ]


def write_play(folder: Path, alert: str, changed: dict[str, Any] | None = None) -> Path:
    """Write down the cases of an alert, perhaps with a changed rule, for promtool to play."""
    known = rules()
    kept = [rule for name, rule in known.items() if "record" in rule and name in str(known[alert])]
    folder.mkdir(exist_ok=True)
    written = {"groups": [{"name": "g", "rules": [*kept, changed or known[alert]]}]}
    (folder / "rules.yml").write_text(yaml.safe_dump(written))
    tests = [
        {
            "interval": f"{case.step}m",
            "input_series": [
                {"series": series, "values": played(values, case, is_counter=kind)}
                for kind, group in ((False, case.gauges), (True, case.counters))
                for series, values in group.items()
            ],
            "promql_expr_test": expectations(case),
        }
        for case in CASES
        if case.alert == alert
    ]
    step = max(case.step for case in CASES if case.alert == alert)
    content = {"rule_files": ["rules.yml"], "evaluation_interval": f"{step}m", "tests": tests}
    (folder / "tests.yml").write_text(yaml.safe_dump(content))
    return folder / "tests.yml"


def play(*plays: Path) -> list[str]:
    """Play them all; return what promtool says of each: nothing, or which expectation failed."""
    ended = run("promtool", "test", "rules", *plays)
    said = dict.fromkeys(map(str, plays), "not played")
    for part in re.split(r"^Unit Testing:  ", ended.stdout + ended.stderr, flags=re.MULTILINE)[1:]:
        path, _, words = part.partition("\n")
        said[path.strip()] = "" if "SUCCESS" in words else words
    return list(said.values())


ALERTS = tuple(sorted({case.alert for case in CASES}))


@pytest.mark.parametrize("alert", ALERTS)
def test_alert_fires_and_recovers_at_its_limit(alert: str, tmp_path: Path) -> None:
    assert play(write_play(tmp_path, alert)) == [""]


def mutants(rule: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Make a rule wrong in every way that matters, one at a time."""
    expr = rule["expr"]
    for found in re.finditer(r"(?<=[>=] )(\d+(?:\.\d+)?)", expr):
        number = float(found[1])
        for wrong in (number * 2, number / 2) if number else (1,):
            changed = f"{expr[: found.start()]}{wrong:.10g}{expr[found.end() :]}"
            yield f"{found[1]} -> {wrong:.10g}", rule | {"expr": changed}
    for found in re.finditer(r" and\b", expr):
        yield (
            f"and -> or at {found.start()}",
            rule | {"expr": f"{expr[: found.start()]} or{expr[found.end() :]}"},
        )
    minutes = int(re.sub(r"\D", "", rule.get("for", "0m"))) * (
        60 if "h" in rule.get("for", "") else 1
    )
    if minutes:
        yield "no wait", {name: value for name, value in rule.items() if name != "for"}
        yield "waits thrice as long", rule | {"for": f"{3 * minutes + 3}m"}
    else:
        yield "waits", rule | {"for": "5m"}
    yield "never", rule | {"expr": f"({expr}) and vector(0) > 1"}


@pytest.mark.slow
@pytest.mark.parametrize("alert", ALERTS)
def test_a_wrong_limit_is_noticed(alert: str, tmp_path: Path) -> None:
    wrong = list(mutants(rules()[alert]))

    complaints = play(
        *(write_play(tmp_path / str(n), alert, rule) for n, (_, rule) in enumerate(wrong))
    )

    survivors = [name for (name, _), said in zip(wrong, complaints, strict=True) if not said]
    assert survivors == []


def test_every_alert_has_a_case() -> None:
    alerts = {name for name, rule in rules().items() if "alert" in rule}

    assert alerts - set(ALERTS) == {"RoleMissing"}, "RoleMissing has a test of its own"


@pytest.mark.parametrize("missing", ROLES)
def test_a_role_that_nobody_scrapes_is_missed(missing: str, tmp_path: Path) -> None:
    series = [
        {"series": f'up{{job="payments",role="{role}"}}',
         "values": "1x10 _x20 1x20" if role == missing else "1x50"}
        for role in ROLES
    ]  # fmt: skip
    firing = f'ALERTS{{alertname="RoleMissing", alertstate="firing", job="payments", role="{missing}", severity="page"}}'  # noqa: E501
    expr = 'ALERTS{alertname="RoleMissing", alertstate="firing"}'
    expected = [
        {"expr": expr, "eval_time": f"{minute}m",
         "exp_samples": [{"labels": firing, "value": 1}] if minute == 25 else []}
        for minute in (9, 15, 25, 45)
    ]  # fmt: skip
    tests = [{"interval": "1m", "input_series": series, "promql_expr_test": expected}]
    (tmp_path / "tests.yml").write_text(
        yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests})
    )

    ended = run("promtool", "test", "rules", tmp_path / "tests.yml")

    assert ended.returncode == 0, ended.stdout + ended.stderr
