"""Refuses schemas that the generated structs, or clients' generators, could not honour.

The rules: everything bounded, objects and enums named, unions told apart by a discriminator.
"""

from typing import Any

from codegen.contract import Contract, Node, Unsupported

_KNOWN = {
    "$ref", "type", "title", "description", "examples", "enum", "const", "format", "pattern",
    "minLength", "maxLength", "minimum", "maximum", "default", "items", "minItems", "maxItems",
    "properties", "required", "additionalProperties", "propertyNames", "minProperties",
    "maxProperties", "oneOf", "discriminator", "deprecated",
}  # fmt: skip
_FORMATS = {"int32", "int64", "date-time"}


def check(contract: Contract) -> None:
    """Check every schema of a contract.

    Raises:
        Unsupported: One of them breaks a rule; its location is in the message.
    """
    components = contract.document.get("components", {}).get("schemas", {})
    for name, schema in components.items():
        _check(contract, schema, f"#/components/schemas/{name}", named=True)
    for operation in contract.operations:
        for parameter in operation.parameters:
            _check(contract, parameter.schema, f"{parameter.where}/schema", named=False)
        for response in operation.responses:
            for name, header in response.headers.items():
                at = f"{response.where}/headers/{name}/schema"
                _check(contract, header["schema"], at, named=False)
        if operation.body is not None:
            body, at = contract.resolve(operation.body, operation.where)
            _refuse_defaults(contract, body, at, set())


def _check(contract: Contract, schema: Any, where: str, *, named: bool) -> None:
    if not isinstance(schema, dict):
        raise Unsupported(where, "a schema is an object")
    for key in schema:
        if key not in _KNOWN:
            raise Unsupported(f"{where}/{key}", "is not supported")
    if "$ref" in schema:
        if set(schema) - {"$ref", "description", "default"}:
            raise Unsupported(where, "nothing but a description beside a $ref")
        contract.resolve(schema, where)
        return
    if "oneOf" in schema:
        _check_union(contract, schema, where, named=named)
        return
    if "const" in schema:
        return
    kinds = schema.get("type")
    kind = kinds
    if isinstance(kinds, list):
        others = [name for name in kinds if name != "null"]
        if len(others) != 1:
            raise Unsupported(f"{where}/type", "one type, or one type and null")
        kind = others[0]
    _BY_TYPE.get(str(kind), _refuse_type)(contract, schema, where, named)


def _check_string(contract: Contract, schema: Node, where: str, named: bool) -> None:  # noqa: FBT001
    if "enum" in schema:
        if not named:
            raise Unsupported(where, "an enum must be a named component")
        return
    if not {"maxLength", "pattern", "format"} & set(schema):
        raise Unsupported(where, "a string needs maxLength, pattern or format")
    if schema.get("format", "date-time") not in _FORMATS:
        raise Unsupported(f"{where}/format", "only date-time is checked")


def _check_integer(contract: Contract, schema: Node, where: str, named: bool) -> None:  # noqa: FBT001
    if "minimum" not in schema or "maximum" not in schema:
        raise Unsupported(where, "an integer needs minimum and maximum")
    if schema.get("format", "int64") not in _FORMATS:
        raise Unsupported(f"{where}/format", "only int32 and int64 are checked")


def _check_array(contract: Contract, schema: Node, where: str, named: bool) -> None:  # noqa: FBT001
    if "maxItems" not in schema or "items" not in schema:
        raise Unsupported(where, "an array needs items and maxItems")
    _check(contract, schema["items"], f"{where}/items", named=False)


def _check_object(contract: Contract, schema: Node, where: str, named: bool) -> None:  # noqa: FBT001
    if not named:
        raise Unsupported(where, "an object must be a named component")
    for name, member in schema.get("properties", {}).items():
        _check(contract, member, f"{where}/properties/{name}", named=False)
    missing = set(schema.get("required", [])) - set(schema.get("properties", {}))
    if missing:
        raise Unsupported(f"{where}/required", f"names unknown members: {sorted(missing)}")
    others = schema.get("additionalProperties")
    if isinstance(others, dict):
        _check(contract, others, f"{where}/additionalProperties", named=False)
    if "properties" not in schema and "maxProperties" not in schema:
        raise Unsupported(where, "a free object needs maxProperties")


def _check_boolean(contract: Contract, schema: Node, where: str, named: bool) -> None:  # noqa: FBT001
    """Nothing to bound."""


def _refuse_type(contract: Contract, schema: Node, where: str, named: bool) -> None:  # noqa: FBT001
    raise Unsupported(f"{where}/type", f"{schema.get('type')} is not supported")


_BY_TYPE = {
    "string": _check_string,
    "integer": _check_integer,
    "array": _check_array,
    "object": _check_object,
    "boolean": _check_boolean,
}


def _check_union(contract: Contract, schema: Node, where: str, *, named: bool) -> None:
    if not named:
        raise Unsupported(where, "a union must be a named component")
    discriminator = schema.get("discriminator", {}).get("propertyName")
    if discriminator is None:
        raise Unsupported(where, "a union needs a discriminator")
    for number, variant in enumerate(schema["oneOf"]):
        at = f"{where}/oneOf/{number}"
        if "$ref" not in variant:
            raise Unsupported(at, "a variant must be a named component")
        target, target_at = contract.resolve(variant, at)
        tag = target.get("properties", {}).get(discriminator, {})
        if "const" not in tag or discriminator not in target.get("required", []):
            raise Unsupported(target_at, f"needs a required constant {discriminator}")


def _refuse_defaults(contract: Contract, schema: Any, where: str, seen: set[str]) -> None:
    """A default in a request would make two spellings of one request that nobody can tell apart."""
    if isinstance(schema, list):
        for member in schema:
            _refuse_defaults(contract, member, where, seen)
    if not isinstance(schema, dict):
        return
    if "default" in schema and not isinstance(schema["default"], dict):
        raise Unsupported(f"{where}/default", "no default in a request body")
    if "$ref" in schema:
        if schema["$ref"] not in seen:
            seen.add(schema["$ref"])
            target, at = contract.resolve(schema, where)
            _refuse_defaults(contract, target, at, seen)
        return
    for key, member in schema.items():
        _refuse_defaults(contract, member, f"{where}/{key}", seen)
