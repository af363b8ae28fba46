"""Rules of the house that no linter knows."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = sorted(
    path
    for folder in ("src", "codegen", "deploy", "docs", "migrations", "tests")
    for path in (ROOT / folder).rglob("*.py")
    if "node_modules" not in path.parts
)
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


@pytest.mark.parametrize("path", OURS, ids=names(OURS))
def test_file_is_short_and_says_what_it_is_for(path: Path) -> None:
    text = path.read_text()
    if not text.strip():
        return  # an empty __init__.py
    # A migration is as long as the tables that it makes.
    assert len(text.splitlines()) <= FILE_LINES_MAX or "migrations/versions" in str(path)
    assert ast.get_docstring(ast.parse(text)), "every module says what it is for"


@pytest.mark.parametrize("path", OURS, ids=names(OURS))
def test_functions_fit_a_screen(path: Path) -> None:
    if "migrations/versions" in str(path):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = (body[-1].end_lineno or 0) - node.lineno if body else 0
            assert lines <= FUNCTION_LINES_MAX, f"{node.name} has {lines} lines"


SERVICE = [path for path in OURS if "payment_service" in path.parts and "src" in path.parts]


def calls(path: Path) -> list[str]:
    tree = ast.parse(path.read_text())
    return [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]


def test_only_the_room_for_transactions_commits() -> None:
    allowed = {"database.py", "migrate.py"}
    offenders = [p for p in SERVICE if p.name not in allowed
                 and any(call.endswith(".commit") for call in calls(p))]  # fmt: skip
    # Kafka's offsets are committed, too: by the consumer that owns them.
    assert [p for p in offenders if "kafka" not in p.name] == []


def test_time_comes_from_the_clock() -> None:
    allowed = {"clock.py", "auth.py", "adapter.py"}  # auth: tokens carry the world's time
    offenders = [p for p in SERVICE if p.name not in allowed and "datetime.now" in calls(p)]
    assert offenders == []


def test_money_is_never_a_float() -> None:
    for path in [p for p in SERVICE if p.parent.name in {"domain", "ledger", "use_cases"}]:
        tree = ast.parse(path.read_text())
        divisions = [n for n in ast.walk(tree) if isinstance(n, ast.Div)]
        assert not divisions or path.name == "quota.py", path


def test_nothing_names_a_machine() -> None:
    for path in [*OURS, *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        if path == Path(__file__):
            continue
        text = path.read_text()
        assert "/work/" not in text, path
        assert "/root/" not in text, path
