"""Reads contract files strictly: a key that is written twice is refused, not half forgotten."""

import hashlib
import json
from pathlib import Path
from typing import Any

import yaml

from codegen.model import Document, Node, Unsupported


class _StrictLoader(yaml.SafeLoader):
    """YAML with unique text keys, and without YAML's own ideas of dates."""


_StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _construct_mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> Node:
    mapping: Node = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if key_node.tag != "tag:yaml.org,2002:str":
            raise Unsupported(f"line {line}", f"quote the key {key_node.value}")
        if key_node.value in mapping:
            raise Unsupported(f"line {line}", f"the key {key_node.value} is there already")
        mapping[key_node.value] = loader.construct_object(value_node, deep=True)
    return mapping


_StrictLoader.add_constructor("tag:yaml.org,2002:map", _construct_mapping)


def read(root: Path, path: Path) -> Document:
    """Read a YAML or JSON file.

    Raises:
        Unsupported: It is neither, or names a key twice.
    """
    name = path.relative_to(root).as_posix()
    raw = path.read_bytes()
    try:
        text = raw.decode()
        content = _read_json(text) if path.suffix == ".json" else _read_yaml(text)
    except Unsupported as error:
        raise Unsupported(name, str(error)) from error
    except (yaml.YAMLError, ValueError) as error:
        raise Unsupported(name, " ".join(str(error).split())) from error
    if not isinstance(content, dict):
        raise Unsupported(name, "must be an object")
    return Document(name, hashlib.sha256(raw).hexdigest(), content)


def _read_yaml(text: str) -> Any:
    return yaml.load(text, Loader=_StrictLoader)  # noqa: S506  # a SafeLoader


def _read_json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> Node:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        repeated = sorted({key for key, _ in pairs if [k for k, _ in pairs].count(key) > 1})
        raise Unsupported("an object", f"the key {repeated[0]} is there already")
    return mapping
