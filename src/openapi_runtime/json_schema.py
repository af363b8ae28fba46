"""JSON Schema at the speed of Rust, behind openapi-core's own factory.

jsonschema-rs accepts and explains; it compiles every `$ref`. What it does not do is written into
the copy of the contract that it is given: it never calls a custom format for a number, so int32 and
int64 become bounds.
"""

from datetime import datetime
from typing import Any
from urllib.parse import quote

import jsonschema_rs
import msgspec
from openapi_core.validation.schemas.exceptions import InvalidSchemaValue
from openapi_core.validation.schemas.factories import DialectSchemaValidatorsFactory
from openapi_core.validation.schemas.validators import SchemaValidator
from openapi_schema_validator import OAS31_BASE_DIALECT_ID, OAS30ReadValidator, OAS31Validator

_CONTRACT = "urn:contract:openapi"
_RANGES = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}
_DATE_TIME_SEPARATORS = ("T", "t")


class RustSchemaValidator(SchemaValidator):
    """Accepts by `is_valid`; explains a refusal without showing the value."""

    def __init__(self, schema: Any, validator: Any, rust: Any) -> None:
        super().__init__(schema, validator)
        self.is_valid = rust.is_valid
        self._rust = rust

    def validate(self, value: Any) -> None:
        """Return if the value satisfies the schema.

        Raises:
            InvalidSchemaValue: It does not; `schema_errors` are jsonschema-rs's, masked.
        """
        if not self.is_valid(value):
            errors = tuple(self._rust.iter_errors(value))
            raise InvalidSchemaValue(value, "any", schema_errors=errors)

    def evolve(self, schema: Any) -> SchemaValidator:
        """Make the validator of a part, for openapi-core's casters."""
        with schema.resolve() as resolved:
            part = self.validator.evolve(schema=resolved.contents, _resolver=resolved.resolver)
        return SchemaValidator(schema, part)


class RustSchemaValidatorsFactory(DialectSchemaValidatorsFactory):
    """openapi-core's factory; what it makes is kept, and judged by jsonschema-rs."""

    def __init__(self) -> None:
        super().__init__(
            OAS31Validator,
            OAS31_BASE_DIALECT_ID,
            format_checker=OAS30ReadValidator.FORMAT_CHECKER,
        )
        self._made: dict[Any, SchemaValidator] = {}
        self._registry: Any = None

    def create(self, spec: Any, schema: Any, *args: Any, **options: Any) -> SchemaValidator:
        """Make the validator of a schema, once."""
        if schema.accessor is not spec.accessor:  # a synthetic {}: not part of the contract
            return super().create(spec, schema, *args, **options)
        validator = self._made.get(schema.parts)
        if validator is None:
            stock = super().create(spec, schema, *args, **options)
            validator = self._made[schema.parts] = self._compile(spec, schema, stock)
        return validator

    def _compile(self, spec: Any, schema: Any, stock: SchemaValidator) -> SchemaValidator:
        with spec.resolve() as resolved:
            root = resolved.contents
        if self._registry is None:
            self._registry = jsonschema_rs.Registry(
                [(_CONTRACT, with_integer_bounds(root))], draft=jsonschema_rs.Draft202012
            )
        rust = jsonschema_rs.Draft202012Validator(
            {"$ref": f"{_CONTRACT}#/{canonical_pointer(root, schema.parts)}"},
            registry=self._registry,
            validate_formats=True,
            formats={"date-time": is_date_time},
            offline=True,
            mask="value",
        )
        return RustSchemaValidator(schema, stock.validator, rust)


def is_date_time(value: str) -> bool:
    """Accept RFC 3339 that a datetime can hold: no leap second, no year 0.

    So decoding never refuses what was accepted; and what the decoder alone would take, a space
    between date and time, is refused.
    """
    if value[10:11] not in _DATE_TIME_SEPARATORS:
        return False
    try:
        return msgspec.convert(value, datetime).tzinfo is not None
    except msgspec.ValidationError:
        return False


def with_integer_bounds(node: Any) -> Any:
    """Copy a document, with int32 and int64 written as bounds."""
    if isinstance(node, list):
        return [with_integer_bounds(member) for member in node]
    if not isinstance(node, dict):
        return node
    copy = {key: with_integer_bounds(member) for key, member in node.items()}
    kinds = node.get("type")
    if node.get("format") in _RANGES and "integer" in (
        kinds if isinstance(kinds, list) else [kinds]
    ):
        low, high = _RANGES[node["format"]]
        copy.setdefault("minimum", low)
        copy.setdefault("maximum", high)
    return copy


def canonical_pointer(root: Any, parts: Any) -> str:
    """Find the pointer of what `parts` reaches, every `$ref` on the way followed."""
    node, where = root, []
    for part in parts:
        while isinstance(node, dict) and isinstance(node.get("$ref"), str):
            pieces = node["$ref"].removeprefix("#/").split("/")
            where = [piece.replace("~1", "/").replace("~0", "~") for piece in pieces]
            node = root
            for key in where:
                node = node[int(key) if isinstance(node, list) else key]
        node = node[int(part) if isinstance(node, list) else part]
        where.append(part)
    pointer = "/".join(str(key).replace("~", "~0").replace("/", "~1") for key in where)
    return quote(pointer, safe="/~!$&'()*+,;=:@-._")
