"""Operations -> handler Protocols, result types and the route table."""

from collections.abc import Iterator

from codegen.model import Contract, Node, Operation, Parameter, Response
from codegen.names import pascal, snake

_PYTHON = {"string": "str", "integer": "int", "boolean": "bool"}


def generate(contract: Contract, *, header: str) -> str:
    """Write the module `routes`."""
    return "\n".join([header, *_imports(), *_body(contract)]) + "\n"


def _imports() -> Iterator[str]:
    yield '''"""Handlers to be written, results to be returned, and the table of operations."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Protocol

from msgspec import UNSET, UnsetType
from starlette.routing import Route

from generated.api import models
from openapi_runtime.validation import Contract
from openapi_runtime.hooks import Hooks
from openapi_runtime.operations import Context, Operation, Param, Result, StoredResponse
from openapi_runtime.problems import Problem
from openapi_runtime.routing import build_routes as _build_routes

__all__ = ["UNSET", "UnsetType", "datetime"]
'''


def _body(contract: Contract) -> Iterator[str]:
    for operation in contract.operations:
        for response in _successes(operation):
            yield from _result(contract, operation, response)
        yield from _result_union(operation)
    for tag in sorted({operation.tag for operation in contract.operations}):
        yield from _protocol(contract, tag)
    yield from _security(contract)
    yield from _table(contract)
    yield from _build(contract)


def _successes(operation: Operation) -> list[Response]:
    return [response for response in operation.responses if not response.is_problem]


def _result(contract: Contract, operation: Operation, response: Response) -> Iterator[str]:
    yield f"\nclass {pascal(operation.id)}{response.status}(Result, frozen=True, kw_only=True):"
    about = f"{operation.method} {operation.path} -> {response.status}"
    yield f'    """{about}: {_line(response.description)}"""\n'
    yield f"    status: ClassVar[int] = {response.status}"
    if response.media_type is not None:
        yield f"    media_type: ClassVar[str | None] = {response.media_type!r}"
    names = {snake(name): name.lower() for name in response.own_headers}
    if names:
        yield f"    header_names: ClassVar[dict[str, str]] = {names!r}"
    if response.media_type is not None:
        yield f"    body: {_model(response.schema) if response.schema else 'bytes'}"
    for name, node in sorted(
        response.own_headers.items(), key=lambda item: not item[1].get("required", False)
    ):
        kind = _type(contract, node["schema"])
        optional = "" if node.get("required") else " | UnsetType = UNSET"
        yield f"    {snake(name)}: {kind}{optional}"


def _result_union(operation: Operation) -> Iterator[str]:
    names = [f"{pascal(operation.id)}{response.status}" for response in _successes(operation)]
    yield f"\n{pascal(operation.id)}Result = {' | '.join(names)} | StoredResponse | Problem"


def _protocol(contract: Contract, tag: str) -> Iterator[str]:
    yield f"\n\nclass {pascal(tag)}Api(Protocol):"
    yield f'    """{_line(contract.tags[tag])}"""'
    for operation in contract.operations:
        if operation.tag == tag:
            yield from _method(contract, operation)


def _method(contract: Contract, operation: Operation) -> Iterator[str]:
    arguments = []
    if operation.body is not None:
        optional = "" if operation.body_required else " | None"
        arguments.append(f"body: {_model(operation.body)}{optional}")
    arguments += [
        f"{snake(parameter.name)}: {_argument_type(contract, parameter)}"
        for parameter in operation.parameters
    ]
    keywords = f", *, {', '.join(arguments)}" if arguments else ""
    yield (
        f"\n    async def {operation.function}(self, context: Context, /{keywords})"
        f" -> {pascal(operation.id)}Result:"
    )
    yield f'        """{_line(operation.summary)}: {operation.method} {operation.path}."""'
    yield "        ..."


def _security(contract: Contract) -> Iterator[str]:
    yield "\n\nclass SecurityApi(Protocol):"
    yield '    """Who calls: a method per scheme, which returns the principal or raises Problem."""'
    for name in contract.security_schemes:
        yield (
            f"\n    async def {snake(name)}(self, context: Context, credential: str,"
            " scopes: tuple[str, ...], /) -> Any:"
        )
        yield f'        """Check the credential of `{name}`; it is empty when none was sent."""'
        yield "        ..."


def _table(contract: Contract) -> Iterator[str]:
    yield "\n\nOPERATIONS: tuple[Operation, ...] = ("
    for operation in contract.operations:
        security = tuple(
            (snake(name), tuple(scopes))
            for requirement in operation.security
            for name, scopes in requirement.items()
        )
        yield "    Operation("
        yield f"        id={operation.id!r}, method={operation.method!r},"
        yield f"        path={operation.path!r}, tag={operation.tag!r},"
        yield f"        function={operation.function!r},"
        yield f"        body={_model(operation.body) if operation.body else None},"
        yield f"        security={security!r},"
        yield "        params=("
        for parameter in operation.parameters:
            yield f"            {_param(contract, parameter)},"
        yield "        ),"
        yield f"        statuses={tuple(r.status for r in operation.responses)!r},"
        yield f"        idempotent={operation.idempotent},"
        yield "    ),"
    yield ")"


def _param(contract: Contract, parameter: Parameter) -> str:
    kind = _type(contract, parameter.schema)
    default = parameter.schema.get("default")
    tail = "" if default is None else f", default={default!r}"
    name, location = parameter.name, parameter.location
    return f"Param({snake(name)!r}, {name!r}, {location!r}, {kind}{tail})"


def _build(contract: Contract) -> Iterator[str]:
    tags = sorted({operation.tag for operation in contract.operations})
    yield "\n\ndef build_routes("
    yield "    contract: Contract,"
    yield "    *,"
    yield "    security: SecurityApi,"
    for tag in tags:
        yield f"    {snake(tag)}: {pascal(tag)}Api,"
    yield "    hooks: Hooks,"
    yield ") -> list[Route]:"
    yield '    """Make the routes; an object without an operation is refused, here and by mypy."""'
    yield "    return _build_routes("
    yield "        contract,"
    yield "        OPERATIONS,"
    yield "        security=(security, SecurityApi),"
    yield "        handlers={"
    for tag in tags:
        yield f"            {tag!r}: ({snake(tag)}, {pascal(tag)}Api),"
    yield "        },"
    yield "        hooks=hooks,"
    yield "    )"


def _argument_type(contract: Contract, parameter: Parameter) -> str:
    kind = _type(contract, parameter.schema)
    given = parameter.required or "default" in parameter.schema
    return kind if given else f"{kind} | UnsetType"


def _type(contract: Contract, schema: Node) -> str:
    resolved, _ = contract.document.resolve(schema, "#")
    if "enum" in resolved:
        return _model(schema)
    if resolved.get("format") == "date-time":
        return "datetime"
    return _PYTHON[resolved["type"]]


def _model(schema: Node | None) -> str:
    assert schema is not None
    return "models." + str(schema["$ref"]).rsplit("/", 1)[1]


def _line(text: str) -> str:
    """Write text on one line, harmless inside of a docstring."""
    line = " ".join(text.split()).replace("\\", "\\\\").replace('"""', "'''")
    return f"{line} " if line.endswith('"') else line
