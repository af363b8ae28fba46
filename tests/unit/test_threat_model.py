"""The threat model is true: every test that it names is there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODEL = (ROOT / "docs" / "threat-model.md").read_text()


def test_every_test_that_the_threat_model_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", MODEL))
    written = {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }

    assert len(named) > 40
    assert named - written == set()


def test_every_abuse_names_its_test() -> None:
    rows = [line for line in MODEL.splitlines() if line.startswith("| ")]
    without = [row for row in rows if "`test_" not in row and row != "| abuse | test |"]

    assert without == []
