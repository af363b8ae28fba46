"""Refuses schemas that the generated structs, or clients' generators, could not honour.

The rules: everything bounded, objects and enums named, unions told apart by a discriminator. A
keyword that is not in a table here is refused: nobody would enforce it.
"""

import re
from pathlib import PurePosixPath
from typing import Any

from codegen import patterns
from codegen.model import Contract, Document, Node, Unsupported
from codegen.names import CLASS_NAME, RESERVED, snake

_ANNOTATIONS = {"title", "description", "examples", "deprecated"}
_BY_KIND = {
    "string": {
        "enum", "const", "format", "pattern", "minLength", "maxLength", "x-extensible-enum",
    },
    "integer": {"const", "format", "minimum", "maximum"},
    "boolean": {"const"},
    "array": {"items", "minItems", "maxItems"},
    "object": {
        "properties", "required", "additionalProperties", "propertyNames", "minProperties",
        "maxProperties",
    },
}  # fmt: skip
_FORMATS = {"string": {"date-time"}, "integer": {"int32", "int64"}}
_EVENT_VERSION_MAX = 1000
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def check_contract(contract: Contract) -> None:
    """Check every schema of openapi.yaml.

    Raises:
        Unsupported: One of them breaks a rule; its location is in the message.
    """
    document = contract.document
    for name, schema in document.content.get("components", {}).get("schemas", {}).items():
        where = f"#/components/schemas/{name}"
        _check_name(schema, name, where)
        _check(document, schema, where, named=True)
    for operation in contract.operations:
        for parameter in operation.parameters:
            # A default is for what may be left out of a URL; openapi-core fills it in.
            schema = {key: value for key, value in parameter.schema.items() if key != "default"}
            _check(document, schema, f"{parameter.where}/schema", named=False)
        for response in operation.responses:
            for name, header in response.headers.items():
                _check(document, header["schema"], f"{response.where}/headers/{name}", named=False)


def check_message(document: Document) -> None:
    """Check a file of webhook-schemas/.

    Raises:
        Unsupported: As above.
    """
    root = dict(document.content)
    if root.pop("$schema", None) != _DIALECT:
        raise Unsupported(f"{document.name}#/$schema", f"must be {_DIALECT}")
    definitions = root.pop("$defs", {})
    if root.get("type") != "object" or "title" not in root:
        raise Unsupported(f"{document.name}#", "must be an object with a title")
    _check_name(root, root["title"], f"{document.name}#")
    _check(document, root, f"{document.name}#", named=True)
    for name, schema in definitions.items():
        where = f"{document.name}#/$defs/{name}"
        _check_name(schema, name, where)
        _check(document, schema, where, named=True)
    for name, schema in {"": root, **definitions}.items():
        _check_event_version(document, schema, f"/$defs/{name}" if name else "")


def _check_event_version(document: Document, schema: Node, at: str) -> None:
    """A constant would bar the next version from those who know only this one."""
    version = schema.get("properties", {}).get("event_version")
    number = PurePosixPath(document.name).stem.removeprefix("v")
    if version is None or not number.isdigit():
        return
    if version.get("minimum") != int(number) or version.get("maximum") != _EVENT_VERSION_MAX:
        where = f"{document.name}#{at}/properties/event_version"
        raise Unsupported(where, f"is an integer from {number} to {_EVENT_VERSION_MAX}")


def _check_name(schema: Any, name: str, where: str) -> None:
    if not CLASS_NAME.fullmatch(name) or name in RESERVED:
        raise Unsupported(where, "a name is a class name like PaymentId, and not one of Python's")
    if isinstance(schema, dict) and schema.get("title", name) != name:
        raise Unsupported(f"{where}/title", f"must be {name}, the title names the class")


def _check(document: Document, schema: Any, where: str, *, named: bool) -> None:
    if not isinstance(schema, dict):
        raise Unsupported(where, "a schema is an object")
    if "$ref" in schema:
        _refuse_unknown(schema, {"$ref", "description"}, where)
        target, at = document.resolve(schema, where)
        if not at.startswith(("#/components/schemas/", "#/$defs/")):
            raise Unsupported(where, "must lead to a named schema")
        assert target
    elif "oneOf" in schema:
        _check_union(document, schema, where, named=named)
    else:
        _check_kind(document, schema, where, named=named)


def _refuse_unknown(schema: Node, known: set[str], where: str) -> None:
    for key in schema:
        if key not in known:
            raise Unsupported(f"{where}/{key}", "is not supported here")


def _check_kind(document: Document, schema: Node, where: str, *, named: bool) -> None:
    kind = _kind(schema, where)
    _refuse_unknown(schema, {"type", *_ANNOTATIONS, *_BY_KIND[kind]}, where)
    if "format" in schema and schema["format"] not in _FORMATS[kind]:
        raise Unsupported(f"{where}/format", f"only {sorted(_FORMATS[kind])} are checked")
    if "const" in schema:
        return
    if kind == "string":
        _check_string(schema, where, named=named)
    elif kind == "integer" and not {"minimum", "maximum"} <= set(schema):
        raise Unsupported(where, "an integer needs minimum and maximum")
    elif kind == "array":
        if not {"items", "maxItems"} <= set(schema):
            raise Unsupported(where, "an array needs items and maxItems")
        _check(document, schema["items"], f"{where}/items", named=False)
    elif kind == "object":
        _check_object(document, schema, where, named=named)


def _kind(schema: Node, where: str) -> str:
    kinds = schema.get("type")
    if isinstance(kinds, list):
        others = [name for name in kinds if name != "null"]
        if len(others) != 1 or len(kinds) != 2:  # noqa: PLR2004
            raise Unsupported(f"{where}/type", "one type, or one type and null")
        kinds = others[0]
    if kinds not in _BY_KIND:
        raise Unsupported(f"{where}/type", f"{kinds} is not supported")
    return str(kinds)


def _check_string(schema: Node, where: str, *, named: bool) -> None:
    if "enum" in schema:
        if not named:
            raise Unsupported(where, "an enum must be a named schema")
        if not all(isinstance(value, str) for value in schema["enum"]):
            raise Unsupported(f"{where}/enum", "only texts")
        return
    pattern = schema.get("pattern")
    if pattern is not None:
        patterns.check(pattern, f"{where}/pattern")
    for value in schema.get("x-extensible-enum", []):
        if pattern is None or not re.fullmatch(pattern, value):
            raise Unsupported(f"{where}/x-extensible-enum", f"needs a pattern that fits {value}")
    bounded = pattern is not None and patterns.is_bounded(pattern)
    if not bounded and not {"maxLength", "format"} & set(schema):
        raise Unsupported(where, "a string needs maxLength, a bounded pattern or a format")


def _check_object(document: Document, schema: Node, where: str, *, named: bool) -> None:
    members = schema.get("properties", {})
    if members and not named:
        raise Unsupported(where, "an object with members must be a named schema")
    seen: set[str] = set()
    for name, member in members.items():
        if snake(name) in seen:
            raise Unsupported(f"{where}/properties/{name}", "Python would call two members alike")
        seen.add(snake(name))
        _check(document, member, f"{where}/properties/{name}", named=False)
    missing = sorted(set(schema.get("required", [])) - set(members))
    if missing:
        raise Unsupported(f"{where}/required", f"names unknown members: {missing}")
    others = schema.get("additionalProperties", True)
    if not isinstance(others, bool):
        _check(document, others, f"{where}/additionalProperties", named=False)
    if "propertyNames" in schema:
        at = f"{where}/propertyNames"
        _refuse_unknown(schema["propertyNames"], {"pattern", "maxLength"}, at)
        _check_string(schema["propertyNames"], at, named=False)
    if not members and "maxProperties" not in schema:
        raise Unsupported(where, "a free object needs maxProperties")


def _check_union(document: Document, schema: Node, where: str, *, named: bool) -> None:
    if not named:
        raise Unsupported(where, "a union must be a named schema")
    _refuse_unknown(schema, {"oneOf", "discriminator", *_ANNOTATIONS}, where)
    discriminator = schema.get("discriminator", {})
    member = discriminator.get("propertyName")
    if member is None:
        raise Unsupported(where, "a union needs a discriminator")
    tags: dict[str, str] = {}
    for number, variant in enumerate(schema["oneOf"]):
        at = f"{where}/oneOf/{number}"
        if "$ref" not in variant:
            raise Unsupported(at, "a variant must be a named schema")
        target, target_at = document.resolve(variant, at)
        tag = target.get("properties", {}).get(member, {}).get("const")
        if not isinstance(tag, str) or member not in target.get("required", []):
            raise Unsupported(target_at, f"needs a required constant text {member}")
        if tag in tags:
            raise Unsupported(at, f"{member} {tag} is another variant's")
        tags[tag] = variant["$ref"]
    if discriminator.get("mapping", tags) != tags:
        raise Unsupported(f"{where}/discriminator/mapping", "must be what the constants say")
