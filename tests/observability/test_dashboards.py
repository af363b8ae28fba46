"""Every picture can be drawn: its queries parse and name what exists."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.grafana.__main__ import main
from tests.observability.catalogue import OURS, series
from tests.support.prometheus import run

ROOT = Path(__file__).parents[2]
GRAFANA = ROOT / "deploy/grafana"
RULES = ROOT / "deploy/prometheus/rules.yml"
BOARDS = {path.stem: json.loads(path.read_text()) for path in GRAFANA.glob("dashboards/*.json")}
TARGETS = [
    (f"{name}: {panel['title']}", target)
    for name, board in BOARDS.items()
    for panel in board["panels"]
    for target in panel.get("targets", ())
]
QUERIES = [(place, t["expr"]) for place, t in TARGETS if t["datasource"]["type"] == "prometheus"]
GRAFANA_WORDS = {"job", "instance", "role", "le"}  # labels that Prometheus itself adds


def played(expr: str) -> str:
    return expr.replace("$__rate_interval", "5m")


def test_the_files_are_what_their_description_gives() -> None:
    assert main(["--check"]) == 0
    assert {"payments-service", "payments-money", "payments-pipeline", "payments-provider"} == set(
        BOARDS
    )


@pytest.mark.stack
def test_promtool_can_parse_every_query(tmp_path: Path) -> None:
    rules = [
        {"record": f"dashboard:query:{number}", "expr": played(expr)}
        for number, (_, expr) in enumerate(QUERIES)
    ]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "d", "rules": rules}]}))

    ended = run("promtool", "check", "rules", tmp_path / "rules.yml")

    assert len(QUERIES) > 40
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_queries_name_only_what_exists(name: str) -> None:
    for place, expr in QUERIES:
        if place.startswith(name):
            check(place, expr)


def check(place: str, expr: str) -> None:
    known = series()
    recorded = set(re.findall(r"record: (\S+)", RULES.read_text()))
    names = set(re.findall(r"\b(?:payments:[a-z_0-9:]+)", expr))

    assert names <= recorded, place
    assert set(OURS.findall(expr)) <= set(known) | names, place
    for name, selector in re.findall(r"\b(payments_[a-z0-9_]+)\{([^}]*)\}", expr):
        assert set(re.findall(r"(\w+)[=!]", selector)) <= known[name], place
    labels = set().union(*(known.get(name, set()) for name in OURS.findall(expr)), GRAFANA_WORDS)
    for group in re.findall(r"\b(?:by|on) \(([^)]*)\)", expr):
        assert set(re.split(r",\s*", group)) <= labels, place


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_a_dashboard_is_whole(name: str) -> None:
    board = BOARDS[name]
    ids = [panel["id"] for panel in board["panels"]]

    assert board["uid"] == name
    assert len(set(ids)) == len(ids)
    for panel in board["panels"]:
        assert panel["title"]
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= 24
        references = [target["refId"] for target in panel.get("targets", ())]
        assert len(set(references)) == len(references)


def test_datasources_are_those_that_are_provisioned_and_lead_to_each_other() -> None:
    text = (GRAFANA / "provisioning/datasources/payments.yml").read_text()
    sources: dict[str, Any] = {s["uid"]: s for s in yaml.safe_load(text)["datasources"]}

    assert {target["datasource"]["uid"] for _, target in TARGETS} <= set(sources)
    led = set(re.findall(r"datasourceUid: (\w+)", text))
    assert led == {"tempo", "loki"} <= set(sources)
