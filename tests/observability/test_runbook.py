"""Who is woken up finds a page that says what to do, with commands that exist."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from payment_service.cli import parser

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "docs/runbook.md").read_text()
ALERTS = [
    rule
    for group in yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
]
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL))
COMMANDS = sorted(set(re.findall(r"(?:^    |`)payment-service ([^`\n]+)", RUNBOOK, re.MULTILINE)))


def test_alerts_and_sections_are_the_same() -> None:
    assert list(SECTIONS) == [rule["alert"] for rule in ALERTS]


@pytest.mark.parametrize("rule", ALERTS, ids=[rule["alert"] for rule in ALERTS])
def test_a_section_says_what_it_means_where_to_look_and_what_to_do(rule: dict) -> None:
    section = SECTIONS[rule["alert"]]

    assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"
    assert f"**Means** ({rule['labels']['severity']})" in section
    for heading in ("**First look**", "**Act**"):
        words = section.split(heading, 1)[1].split("**", 1)[0]
        assert len(words.split()) > 2, heading
    assert re.search(r"^    (payment-service|make) ", section, re.MULTILINE), "no command"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_one_of_ours(command: str) -> None:
    parser().parse_args(shlex.split(command))


def test_links_lead_somewhere() -> None:
    anchors = {name.lower() for name in SECTIONS}

    for anchor in re.findall(r"\]\(#([\w-]+)\)", RUNBOOK):
        assert anchor in anchors


def test_sql_names_columns_that_exist() -> None:
    from payment_service.storage.models import OutboxEvent  # noqa: PLC0415

    for column in re.findall(r"(\w+) = '", RUNBOOK):
        assert column in OutboxEvent.__table__.columns
