"""Reads openapi.yaml and refuses, with its location, what the generated server could not honour.

Silence is the enemy: a rule of the contract that nobody enforces is worse than none. So every
keyword must be known here.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from openapi_spec_validator import OpenAPIV31SpecValidator

from codegen import rules, schemas, source
from codegen.model import (
    IDEMPOTENCY_KEY,
    JSON,
    OF_DELIVERY,
    PROBLEM_JSON,
    Contract,
    Document,
    Node,
    Operation,
    Parameter,
    Response,
    Unsupported,
)

_ERROR_MIN = 400
_METHODS = ("get", "put", "post", "delete", "patch")
_ROOT_KEYS = {
    "openapi", "info", "servers", "tags", "security", "paths", "components", "x-error-codes",
    "externalDocs",
}  # fmt: skip
_COMPONENT_KEYS = {
    "schemas", "responses", "parameters", "examples", "requestBodies", "headers",
    "securitySchemes",
}  # fmt: skip
_PATH_KEYS = {*_METHODS, "parameters", "summary", "description"}
_OPERATION_KEYS = {
    "operationId", "tags", "summary", "description", "security", "parameters", "requestBody",
    "responses", "callbacks", "externalDocs", "deprecated",
}  # fmt: skip
_PARAMETER_KEYS = {
    "name", "in", "required", "description", "schema", "example", "examples", "deprecated",
}  # fmt: skip
_RESPONSE_KEYS = {"description", "headers", "content", "links"}
_HEADER_KEYS = {"description", "required", "schema", "example", "examples", OF_DELIVERY}
_BODY_KEYS = {"description", "required", "content"}
_MEDIA_KEYS = {"schema", "example", "examples"}


def load(root: Path, path: Path) -> Contract:
    """Read a contract.

    Raises:
        Unsupported: It says something that the generated server could not honour.
    """
    document = source.read(root, path)
    if document.content.get("openapi") != "3.1.0":
        raise Unsupported("#/openapi", "must be 3.1.0")
    _check_references(document, document.content, "#")
    invalid = list(OpenAPIV31SpecValidator(document.content).iter_errors())
    located = [e for e in invalid if e.absolute_path and e.absolute_path[0] in document.content]
    _refuse_invalid(located)
    _refuse_unknown(document.content, _ROOT_KEYS, "#")
    _refuse_unknown(document.content.get("components", {}), _COMPONENT_KEYS, "#/components")
    contract = parse(document)
    rules.check(contract)
    schemas.check_contract(contract)
    _refuse_invalid(invalid)
    return contract


def parse(document: Document) -> Contract:
    """Read the operations of a contract; whether they make sense together is not looked at.

    Raises:
        Unsupported: An operation says something that is not known here.
    """
    contract = Contract(document)
    contract.operations = sorted(_operations(contract), key=lambda op: (op.tag, op.id))
    return contract


def _check_references(document: Document, node: Any, where: str) -> None:
    """Follow every reference before anybody else does: none may lead out of the file."""
    if isinstance(node, list):
        for number, member in enumerate(node):
            _check_references(document, member, f"{where}/{number}")
    elif isinstance(node, dict):
        if "$ref" in node:
            document.resolve(node, where)
        for key, member in node.items():
            _check_references(document, member, f"{where}/{key.replace('/', '~1')}")


def _refuse_invalid(errors: Iterable[Any]) -> None:
    """Pass on what the official validator found.

    It speaks before our rules, so that they may rely on the form, and again after them: some of
    its errors have no location in the document, and ours for the same fault have one.
    """
    for error in errors:
        parts = [str(part).replace("~", "~0").replace("/", "~1") for part in error.absolute_path]
        raise Unsupported("/".join(["#", *parts]), f"is not OpenAPI 3.1: {error.message[:200]}")


def _refuse_unknown(node: Node, known: set[str], where: str) -> None:
    for key in node:
        if key not in known:
            raise Unsupported(f"{where}/{key}", "is not supported")


def _operations(contract: Contract) -> Iterator[Operation]:
    for path, raw in contract.document.content["paths"].items():
        where = "#/paths/" + path.replace("/", "~1")
        item, where = contract.document.resolve(raw, where)
        _refuse_unknown(item, _PATH_KEYS, where)
        for method in _METHODS:
            if method in item:
                yield _operation(contract, path, method, item, where)


def _operation(contract: Contract, path: str, method: str, item: Node, path_at: str) -> Operation:
    node, where = item[method], f"{path_at}/{method}"
    _refuse_unknown(node, _OPERATION_KEYS, where)
    for required in ("operationId", "summary", "responses"):
        if required not in node:
            raise Unsupported(where, f"{required} is required")
    if len(node.get("tags", [])) != 1 or node["tags"][0] not in contract.tags:
        raise Unsupported(f"{where}/tags", "exactly one tag, listed under #/tags")
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
        parameters=_parameters(contract, item, path_at, node, where),
        body=body,
        body_required=body_required,
        responses=_responses(contract, node, where),
        where=where,
    )


def _security(contract: Contract, node: Node, where: str) -> list[dict[str, list[str]]]:
    owner = node if "security" in node else contract.document.content
    requirements: list[dict[str, list[str]]] = owner.get("security", [])
    if len(requirements) > 1:
        raise Unsupported(f"{where}/security", "one requirement at most")
    for requirement in requirements:
        if len(requirement) != 1:
            raise Unsupported(f"{where}/security/0", "exactly one scheme in a requirement")
        for name in requirement:
            if name not in contract.security_schemes:
                raise Unsupported(f"{where}/security/0/{name}", "no such security scheme")
    return requirements


def _parameters(
    contract: Contract, item: Node, path_at: str, node: Node, where: str
) -> list[Parameter]:
    found: dict[tuple[str, str], Parameter] = {}
    for owner, owner_at in ((item, path_at), (node, where)):
        for number, raw in enumerate(owner.get("parameters", [])):
            parameter = _parameter(contract, raw, f"{owner_at}/parameters/{number}")
            found[parameter.name, parameter.location] = parameter
    return list(found.values())


def _parameter(contract: Contract, raw: Node, where: str) -> Parameter:
    node, at = contract.document.resolve(raw, where)
    _refuse_unknown(node, _PARAMETER_KEYS, at)
    name, location = node["name"], node["in"]
    required = node.get("required", False)
    if location not in {"path", "query", "header"}:
        raise Unsupported(at, f"parameters in {location} are not supported")
    if location == "header" and name.lower() in {"accept", "content-type", "authorization"}:
        raise Unsupported(at, f"OpenAPI ignores a parameter {name}")
    if location == "header" and name.lower() == IDEMPOTENCY_KEY.lower() and not required:
        raise Unsupported(f"{at}/required", f"{name} is required where it is known")
    rules.check_simple(contract.document, node["schema"], f"{at}/schema")
    return Parameter(name, location, required, node["schema"], at)


def _body(contract: Contract, node: Node, where: str) -> tuple[Node | None, bool]:
    if "requestBody" not in node:
        return None, False
    body, at = contract.document.resolve(node["requestBody"], f"{where}/requestBody")
    _refuse_unknown(body, _BODY_KEYS, at)
    if list(body["content"]) != [JSON]:
        raise Unsupported(f"{at}/content", f"bodies are {JSON} and nothing else")
    media = body["content"][JSON]
    return _component(media, f"{at}/content/application~1json"), body.get("required", False)


def _responses(contract: Contract, node: Node, where: str) -> list[Response]:
    responses = []
    for status, raw in node["responses"].items():
        response, at = contract.document.resolve(raw, f"{where}/responses/{status}")
        _refuse_unknown(response, _RESPONSE_KEYS, at)
        if status != "default" and not status.isdigit():
            raise Unsupported(at, "a status is three digits or default")
        media_type, schema = _content(response, at)
        is_problem = status == "default" or int(status) >= _ERROR_MIN
        if is_problem != (media_type == PROBLEM_JSON):
            raise Unsupported(at, f"errors, and only errors, are {PROBLEM_JSON}")
        headers = _headers(contract, response, at)
        responses.append(Response(status, response["description"], media_type, schema, headers, at))
    return responses


def _content(response: Node, where: str) -> tuple[str | None, Node | None]:
    content = response.get("content", {})
    if len(content) > 1:
        raise Unsupported(f"{where}/content", "one media type in a response")
    for media_type, media in content.items():
        at = f"{where}/content/{media_type.replace('/', '~1')}"
        if media_type in {JSON, PROBLEM_JSON}:
            return media_type, _component(media, at)
        if "*" in media_type or ";" in media_type or media_type != media_type.lower():
            raise Unsupported(at, "a plain media type in lower case")
        if media.get("schema"):
            raise Unsupported(f"{at}/schema", "bytes have no schema")
        _refuse_unknown(media, _MEDIA_KEYS, at)
        return media_type, None
    return None, None


def _headers(contract: Contract, response: Node, where: str) -> dict[str, Node]:
    headers = {}
    for name, raw in response.get("headers", {}).items():
        header, at = contract.document.resolve(raw, f"{where}/headers/{name}")
        _refuse_unknown(header, _HEADER_KEYS, at)
        if name.lower() in {"content-type", "content-length", "x-request-id"}:
            raise Unsupported(at, f"{name} is not a handler's to set")
        if OF_DELIVERY in header and (header[OF_DELIVERY] is not True or header.get("required")):
            raise Unsupported(f"{at}/{OF_DELIVERY}", "only true, at a header that is not required")
        schema = rules.check_simple(contract.document, header["schema"], f"{at}/schema")
        if "format" in schema and schema["type"] == "string":
            raise Unsupported(f"{at}/schema/format", "a header is plain text")
        headers[name] = header
    return headers


def _component(media: Node, where: str) -> Node:
    _refuse_unknown(media, _MEDIA_KEYS, where)
    schema: Node = media.get("schema", {})
    if not schema.get("$ref", "").startswith("#/components/schemas/"):
        raise Unsupported(f"{where}/schema", "must be a reference to a named component")
    return schema
