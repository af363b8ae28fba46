"""Stripe's requests: forms whose names say where a value goes, `line_items[0][quantity]`."""

import re
from typing import Any

_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_STEP = re.compile(r"\[([^\[\]]*)\]")


def nest(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Make a tree of the pairs; numbered members become lists, `[]` appends.

    Raises:
        ValueError: A name makes no sense.
    """
    tree: dict[str, Any] = {}
    for name, value in pairs:
        found = _NAME.fullmatch(name)
        if found is None:
            raise ValueError(name)
        steps = [found[1], *_STEP.findall(found[2])]
        _put(tree, steps, value)
    return {name: _lists(branch) for name, branch in tree.items()}


def _put(tree: dict[str, Any], steps: list[str], value: str) -> None:
    for step in steps[:-1]:
        branch = tree.setdefault(step, {})
        if not isinstance(branch, dict):
            raise ValueError(step)  # noqa: TRY004  # a value where others have members
        tree = branch
    tree[steps[-1] or str(len(tree))] = value


def _lists(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    branches = {name: _lists(branch) for name, branch in tree.items()}
    if branches and all(name.isdigit() for name in branches):
        return [branches[name] for name in sorted(branches, key=int)]
    return branches
