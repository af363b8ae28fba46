"""What we show is as Prometheus wants it, and there is not too much of it."""

import re
from pathlib import Path

import pytest

from tests.observability.catalogue import OURS, exposition, series
from tests.support.prometheus import run

ROOT = Path(__file__).parents[2]
SERIES_MAX = 1000  # of one process


@pytest.mark.stack
def test_promtool_finds_nothing_to_say_about_our_metrics() -> None:
    ended = run("promtool", "check", "metrics", text=exposition())

    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")


@pytest.mark.stack
def test_promtool_finds_nothing_to_say_about_rules_and_configurations() -> None:
    folder = ROOT / "deploy/prometheus"
    rules = run("promtool", "check", "rules", "--lint=all", "--lint-fatal", folder / "rules.yml")
    prometheus = run("promtool", "check", "config", folder / "prometheus.yml")
    alertmanager = run("amtool", "check-config", folder / "alertmanager.yml")

    assert [rules.returncode, prometheus.returncode, alertmanager.returncode] == [0, 0, 0]


@pytest.mark.stack
@pytest.mark.parametrize("severity", ["page", "ticket"])
def test_an_alert_goes_to_those_whom_it_concerns(severity: str) -> None:
    config = f"--config.file={ROOT / 'deploy/prometheus/alertmanager.yml'}"

    ended = run("amtool", "config", "routes", "test", config, f"severity={severity}")

    assert ended.stdout.strip() == severity


def test_the_number_of_series_is_bounded() -> None:
    lines = [line for line in exposition().splitlines() if not line.startswith("#")]

    assert len(lines) < SERIES_MAX


def test_alerts_name_only_metrics_and_labels_that_exist() -> None:
    text = (ROOT / "deploy/prometheus/rules.yml").read_text()
    known = series()

    assert set(OURS.findall(text)) <= set(known)
    for name, selector in re.findall(r"\b(payments_[a-z0-9_]+)\{([^}]*)\}", text):
        assert set(re.findall(r"(\w+)[=!]", selector)) <= known[name], name


def families() -> set[str]:
    """Name the metrics: a histogram's three series are one."""
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in series()}


def test_every_metric_is_on_a_dashboard() -> None:
    boards = "".join(p.read_text() for p in (ROOT / "deploy/grafana/dashboards").glob("*.json"))

    assert [name for name in sorted(families()) if name not in boards] == []


def test_every_metric_that_tells_of_danger_has_an_alert() -> None:
    """Something that waits, has stopped, was given up, or is broken."""
    rules = (ROOT / "deploy/prometheus/rules.yml").read_text()
    dangers = {
        name
        for name in families()
        if re.search(
            r"_(age_seconds|timestamp_seconds|dead|refused|violations|lag_messages|circuit_state"
            r"|violations_total|errors_total|connections)$",
            name,
        )
    }

    assert len(dangers) >= 14
    assert [name for name in sorted(dangers) if name not in rules] == []


def test_no_label_is_one_that_prometheus_gives_itself() -> None:
    """`job` and `instance` would be renamed to `exported_job` and `exported_instance`."""
    labels = set().union(*series().values())

    assert labels & {"job", "instance", "role"} == set()
