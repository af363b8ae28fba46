"""Changes of our own contract, each with the verdict that it deserves.

Wherever clients of the released contract would notice, the verdict is a part of the place that the
gate must name; where they would not, it is None.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]
Edit = Callable[[Document], None]


@dataclass(frozen=True, slots=True)
class Mutation:
    """A change of a contract."""

    name: str
    edit: Edit
    breaks: str | None  # a part of the place that must be named


def at(document: Document, path: str) -> Any:
    """Find a place; a slash inside of a key is written ~1, as in a JSON pointer."""
    found: Any = document
    for key in path.split("/") if path else []:
        found = found[int(key)] if isinstance(found, list) else found[key.replace("~1", "/")]
    return found


def put(path: str, value: Any) -> Edit:
    """Set or replace something."""
    place, _, key = path.rpartition("/")
    return lambda document: at(document, place).__setitem__(key.replace("~1", "/"), value)


def drop(path: str) -> Edit:
    """Take something away."""
    place, _, key = path.rpartition("/")
    return lambda document: at(document, place).pop(key.replace("~1", "/"))


def add(path: str, *values: Any) -> Edit:
    """Add to a list."""
    return lambda document: at(document, path).extend(values)


def remove(path: str, value: Any) -> Edit:
    """Take out of a list."""
    return lambda document: at(document, path).remove(value)


def both(*edits: Edit) -> Edit:
    """Do one after the other."""

    def apply(document: Document) -> None:
        for edit in edits:
            edit(document)

    return apply


def rename(path: str, name: str) -> Edit:
    """Give a key another name, in its place."""
    place, _, key = path.rpartition("/")
    key = key.replace("~1", "/")

    def apply(document: Document) -> None:
        node = at(document, place)
        members = {name if k == key else k: v for k, v in node.items()}
        node.clear()
        node.update(members)

    return apply


def rename_schema(old: str, new: str) -> Edit:
    """Give a component another name, wherever it is used."""

    def walk(node: Any) -> None:
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            if value == f"#/components/schemas/{old}":
                node[key] = f"#/components/schemas/{new}"
            elif isinstance(value, dict | list):
                walk(value)

    def apply(document: Document) -> None:
        walk(document)
        rename(f"components/schemas/{old}", new)(document)

    return apply
