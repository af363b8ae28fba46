"""Finds every failpoint of the service in its source, so that none can be left out of the kills.

Commits are named by `.transact("name", ...)` and `GroupCommit(database, "name", ...)`, calls to the
provider by its operations, answers by those of the contract; all others stand as text in
`effect(...)`. Whatever is not written out so that it can be found is refused.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from generated.api.routes import OPERATIONS
from payment_service.providers.provider import Operation

SOURCE = Path(__file__).parents[2] / "src" / "payment_service"
PASSES_NAMES_ON = {
    "commit.": SOURCE / "storage" / "database.py",
    "provider.": SOURCE / "providers" / "exchange.py",
}
"""Where a failpoint's name is made of another name, and how it begins there."""

GROUPS = SOURCE / "storage" / "group_commit.py"  # commits under the names that it is given


class Unnamed(Exception):
    """A failpoint whose name cannot be read off the source."""


def scan() -> tuple[str, ...]:
    """List all failpoints, in the order of their names."""
    files = sorted(SOURCE.rglob("*.py"))
    commits = [path for path in files if path != GROUPS]
    effects = {f"commit.{name}" for path in commits for name in _names(path, "transact")}
    effects |= {f"commit.{name}" for path in files for name in _names(path, "GroupCommit", 1)}
    effects |= {name for path in files for name in _names(path, "effect")}
    effects |= {f"provider.{operation}" for operation in Operation}
    points = {f"{effect}:{side}" for effect in effects for side in ("before", "after")}
    points |= {f"answer.{operation.id}:after" for operation in OPERATIONS}
    return tuple(sorted(points))


def _names(path: Path, function: str, place: int = 0) -> Iterator[str]:
    """Read one argument, the first by default, of every call of a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == function:
            name = node.args[place] if len(node.args) > place else None
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield name.value
            elif not _is_passed_on(path, name):
                raise Unnamed(f"{path.name}:{node.lineno}: {function} takes its name as text")


def _is_passed_on(path: Path, name: ast.expr | None) -> bool:
    if not isinstance(name, ast.JoinedStr) or not isinstance(name.values[0], ast.Constant):
        return False
    return PASSES_NAMES_ON.get(str(name.values[0].value)) == path
