"""webhook-schemas/asyncapi.yaml and the schemas beside it -> one AsyncAPI 3 document.

The file names topics and the messages on them, each by a reference to its schema. What is served
has no references out of itself: schemas and their definitions move to `components/schemas`.
"""

import re
from collections.abc import Mapping
from typing import Any

from codegen.model import Document, Node, Unsupported

NAME = "asyncapi.yaml"
_FILE = re.compile(r"\./([a-z_]+/v[0-9]+\.json)")
_DEFINITION = "#/$defs/"
_SCHEMA = "#/components/schemas/"
# What we receive over HTTP is described by openapi.yaml, not here.
_NOT_KAFKA = {"payos", "stripe"}


def bundle(document: Document, schemas: Mapping[str, Document]) -> Node:
    """Make the document.

    Args:
        document: webhook-schemas/asyncapi.yaml.
        schemas: The files beside it by their names, `events/v1.json`.

    Raises:
        Unsupported: It is no AsyncAPI 3.0.0, a message names no schema, a schema of ours has no
            message, or two definitions share a name.
    """
    content = document.content
    if content.get("asyncapi") != "3.0.0":
        raise Unsupported(f"{document.name}#/asyncapi", "must be 3.0.0")
    found: dict[str, Any] = {}
    messages = {}
    used = set()
    for name, message in content["components"]["messages"].items():
        where = f"{document.name}#/components/messages/{name}"
        file = _FILE.fullmatch(message.get("payload", {}).get("$ref", ""))
        if file is None or file[1] not in schemas:
            raise Unsupported(f"{where}/payload", "must name a schema, ./events/v1.json")
        title = schemas[file[1]].content["title"]
        if title != name:
            raise Unsupported(where, f"is called as its schema, {title}")
        _hoist(schemas[file[1]], found)
        messages[name] = {
            "name": name,
            **message,
            "payload": {"$ref": f"{_SCHEMA}{title}"},
        }
        used.add(file[1])
    _refuse_silent(document, schemas, used)
    components = {**content["components"], "messages": messages, "schemas": found}
    return {**content, "components": components}


def _refuse_silent(document: Document, schemas: Mapping[str, Document], used: set[str]) -> None:
    """Refuse a schema that the document does not tell of."""
    for name in schemas:
        if name not in used and name.split("/")[0] not in _NOT_KAFKA:
            raise Unsupported(f"webhook-schemas/{name}", f"no message of {document.name} names it")


def _hoist(schema: Document, found: dict[str, Any]) -> None:
    own = {key: value for key, value in schema.content.items() if key not in ("$schema", "$defs")}
    for name, node in {own["title"]: own, **schema.content.get("$defs", {})}.items():
        moved = _moved(node)
        if found.setdefault(name, moved) != moved:
            raise Unsupported(f"{schema.name}#/$defs/{name}", "another schema has this name")


def _moved(node: Any) -> Any:
    if isinstance(node, list):
        return [_moved(member) for member in node]
    if not isinstance(node, dict):
        return node
    return {
        key: value.replace(_DEFINITION, _SCHEMA) if key == "$ref" else _moved(value)
        for key, value in node.items()
    }
