"""Reads openapi.yaml and refuses, with its location, what the generated server could not honour.

Silence is the enemy: a rule of the contract that nobody enforces is worse than none. So every
keyword must be known here, and every value bounded.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from codegen.names import snake

METHODS = ("get", "put", "post", "delete", "patch", "head", "options", "trace")
JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
IDEMPOTENCY_KEY = "Idempotency-Key"

Node = dict[str, Any]


class Unsupported(Exception):
    """The contract says something that would not be honoured."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where}: {why}")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of an operation."""

    name: str
    location: str  # path, query or header
    required: bool
    schema: Node
    where: str


@dataclass(frozen=True, slots=True)
class Response:
    """A documented response."""

    status: str  # "201", or "default"
    description: str
    media_type: str | None
    schema: Node | None
    headers: dict[str, Node]
    where: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    id: str
    method: str
    path: str
    tag: str
    summary: str
    security: list[dict[str, list[str]]]
    parameters: list[Parameter]
    body: Node | None  # the schema, a $ref
    body_required: bool
    responses: list[Response]
    where: str

    @property
    def function(self) -> str:
        """The name of the handler's method."""
        return snake(self.id)

    @property
    def idempotent(self) -> bool:
        """Whether it takes an Idempotency-Key."""
        return any(p.name == IDEMPOTENCY_KEY and p.location == "header" for p in self.parameters)


@dataclass(slots=True)
class Contract:
    """The contract, resolved as far as code needs it."""

    document: Node
    digest: str
    operations: list[Operation] = field(default_factory=list)

    @property
    def tags(self) -> dict[str, str]:
        """The description of each tag."""
        return {tag["name"]: tag.get("description", "") for tag in self.document.get("tags", [])}

    @property
    def error_codes(self) -> dict[str, Node]:
        """The catalogue of problems."""
        codes: dict[str, Node] = self.document.get("x-error-codes", {})
        return codes

    def resolve(self, node: Node, where: str) -> tuple[Node, str]:
        """Follow `$ref`s inside the document."""
        while "$ref" in node:
            reference = node["$ref"]
            if not reference.startswith("#/"):
                raise Unsupported(where, f"only references into this file, not {reference}")
            where = reference
            target: Any = self.document
            for part in reference.removeprefix("#/").split("/"):
                key = part.replace("~1", "/").replace("~0", "~")
                if not isinstance(target, dict) or key not in target:
                    raise Unsupported(where, "leads nowhere")
                target = target[key]
            node = target
        return node, where


def load(path: Path) -> Contract:
    """Read a contract.

    Raises:
        Unsupported: It says something that the generated server could not honour.
    """
    raw = path.read_bytes()
    contract = Contract(yaml.safe_load(raw), hashlib.sha256(raw).hexdigest())
    _refuse_unknown(contract.document, _ROOT_KEYS, "#")
    if contract.document.get("openapi") != "3.1.0":
        raise Unsupported("#/openapi", "must be 3.1.0")
    contract.operations = sorted(_operations(contract), key=lambda op: (op.tag, op.id))
    _refuse_repeated_ids(contract.operations)
    _check_error_codes(contract)
    return contract


_ROOT_KEYS = {
    "openapi", "info", "servers", "tags", "security", "paths", "components", "x-error-codes",
    "externalDocs", "webhooks",
}  # fmt: skip
_OPERATION_KEYS = {
    "operationId", "tags", "summary", "description", "security", "parameters", "requestBody",
    "responses", "callbacks", "externalDocs", "deprecated",
}  # fmt: skip
_PARAMETER_KEYS = {"name", "in", "required", "description", "schema", "example", "examples"}
_RESPONSE_KEYS = {"description", "headers", "content", "links"}
_HEADER_KEYS = {"description", "required", "schema", "example", "examples"}
_BODY_KEYS = {"description", "required", "content"}
_MEDIA_KEYS = {"schema", "example", "examples"}


def _refuse_unknown(node: Node, known: set[str], where: str) -> None:
    for key in node:
        if key not in known:
            raise Unsupported(f"{where}/{key}", "is not supported")


def _operations(contract: Contract) -> Iterator[Operation]:
    for path, raw in contract.document.get("paths", {}).items():
        where = f"#/paths/{path}"
        item, where = contract.resolve(raw, where)
        _refuse_unknown(item, {*METHODS, "parameters", "summary", "description"}, where)
        for method in METHODS:
            if method in item:
                yield _operation(contract, path, method, item, f"{where}/{method}")


def _operation(contract: Contract, path: str, method: str, item: Node, where: str) -> Operation:
    node = item[method]
    _refuse_unknown(node, _OPERATION_KEYS, where)
    for required in ("operationId", "summary", "responses"):
        if required not in node:
            raise Unsupported(where, f"{required} is required")
    if len(node.get("tags", [])) != 1 or node["tags"][0] not in contract.tags:
        raise Unsupported(where, "exactly one tag, listed under #/tags")
    if method == "get" and "requestBody" in node:
        raise Unsupported(f"{where}/requestBody", "a GET has no body")
    body, body_required = _body(contract, node, where)
    return Operation(
        id=node["operationId"],
        method=method.upper(),
        path=path,
        tag=node["tags"][0],
        summary=node["summary"].strip(),
        security=_security(contract, node, where),
        parameters=_parameters(contract, path, item, node, where),
        body=body,
        body_required=body_required,
        responses=_responses(contract, node, where),
        where=where,
    )


def _security(contract: Contract, node: Node, where: str) -> list[dict[str, list[str]]]:
    requirements: Any = node.get("security", contract.document.get("security", []))
    schemes = contract.document.get("components", {}).get("securitySchemes", {})
    if len(requirements) > 1:
        raise Unsupported(f"{where}/security", "one requirement at most")
    for requirement in requirements:
        if len(requirement) != 1:
            raise Unsupported(f"{where}/security", "exactly one scheme in a requirement")
        for name in requirement:
            scheme = schemes.get(name)
            if scheme is None:
                raise Unsupported(f"{where}/security/{name}", "no such security scheme")
            if (scheme.get("type"), scheme.get("scheme")) != ("http", "bearer"):
                raise Unsupported(f"#/components/securitySchemes/{name}", "only http bearer")
    return list(requirements)


def _parameters(
    contract: Contract, path: str, item: Node, node: Node, where: str
) -> list[Parameter]:
    found: dict[tuple[str, str], Parameter] = {}
    for raw in (*item.get("parameters", []), *node.get("parameters", [])):
        parameter, at = contract.resolve(raw, f"{where}/parameters")
        _refuse_unknown(parameter, _PARAMETER_KEYS, at)
        name, location = parameter["name"], parameter["in"]
        if location not in {"path", "query", "header"}:
            raise Unsupported(at, f"parameters in {location} are not supported")
        if "schema" not in parameter:
            raise Unsupported(at, "a parameter needs a schema")
        schema, schema_at = contract.resolve(parameter["schema"], f"{at}/schema")
        if schema.get("type") not in {"string", "integer", "boolean"}:
            raise Unsupported(schema_at, "a parameter is a string, an integer or a boolean")
        found[name, location] = Parameter(
            name, location, parameter.get("required", False), parameter["schema"], at
        )
    named = {name for name, location in found if location == "path"}
    in_path = {part[1:-1] for part in path.split("/") if part.startswith("{")}
    if named != in_path or path.count("{") != len(in_path):
        raise Unsupported(where, "path parameters and the path's templates differ")
    return list(found.values())


def _body(contract: Contract, node: Node, where: str) -> tuple[Node | None, bool]:
    if "requestBody" not in node:
        return None, False
    body, at = contract.resolve(node["requestBody"], f"{where}/requestBody")
    _refuse_unknown(body, _BODY_KEYS, at)
    if list(body.get("content", {})) != [JSON]:
        raise Unsupported(f"{at}/content", f"bodies are {JSON} and nothing else")
    media = body["content"][JSON]
    _refuse_unknown(media, _MEDIA_KEYS, f"{at}/content/{JSON}")
    return _component(media, f"{at}/content/{JSON}"), body.get("required", False)


def _responses(contract: Contract, node: Node, where: str) -> list[Response]:
    responses = []
    for status, raw in node["responses"].items():
        response, at = contract.resolve(raw, f"{where}/responses/{status}")
        _refuse_unknown(response, _RESPONSE_KEYS, at)
        if status != "default" and not (status.isdigit() and len(status) == 3):  # noqa: PLR2004
            raise Unsupported(at, "a status is three digits or default")
        content = response.get("content", {})
        if len(content) > 1:
            raise Unsupported(f"{at}/content", "one media type in a response")
        media_type = next(iter(content), None)
        schema = None
        if media_type in {JSON, PROBLEM_JSON}:
            schema = _component(content[media_type], f"{at}/content/{media_type}")
        is_problem = status == "default" or int(status) >= 400  # noqa: PLR2004
        if is_problem != (media_type == PROBLEM_JSON):
            raise Unsupported(at, f"errors, and only errors, are {PROBLEM_JSON}")
        headers = {
            name: contract.resolve(header, f"{at}/headers/{name}")[0]
            for name, header in response.get("headers", {}).items()
        }
        for name, header in headers.items():
            _refuse_unknown(header, _HEADER_KEYS, f"{at}/headers/{name}")
        responses.append(Response(status, response["description"], media_type, schema, headers, at))
    if not any(response.status == "default" for response in responses):
        raise Unsupported(f"{where}/responses", "a default response tells the other problems")
    return responses


def _component(media: Node, where: str) -> Node:
    schema: Node = media.get("schema", {})
    if not schema.get("$ref", "").startswith("#/components/schemas/"):
        raise Unsupported(where, "the schema must be a named component")
    return schema


def _refuse_repeated_ids(operations: list[Operation]) -> None:
    seen: dict[str, Operation] = {}
    for operation in operations:
        if operation.function in seen:
            raise Unsupported(
                operation.where, f"operationId like that of {seen[operation.function].where}"
            )
        seen[operation.function] = operation


def _check_error_codes(contract: Contract) -> None:
    for code, entry in contract.error_codes.items():
        where = f"#/x-error-codes/{code}"
        if set(entry) != {"status", "title", "retryable", "description"}:
            raise Unsupported(where, "needs status, title, retryable and description")
    statuses = {str(entry["status"]) for entry in contract.error_codes.values()}
    for operation in contract.operations:
        for response in operation.responses:
            if response.media_type == PROBLEM_JSON and response.status not in {
                "default",
                *statuses,
            }:
                raise Unsupported(response.where, "no error code has this status")
