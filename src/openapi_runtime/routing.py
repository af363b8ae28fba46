"""Generated operations and hand-written handlers -> Starlette routes.

A handler that lacks an operation is a type error; it is also refused here, at the start, together
with handlers for operations that the contract does not have.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from openapi_runtime.contract import Contract
from openapi_runtime.endpoint import Endpoint, Hooks, render_problem
from openapi_runtime.operations import Operation
from openapi_runtime.problems import Problem


class HandlersMismatch(TypeError):
    """The handlers are not the contract's; the message lists every difference."""


def build_routes(
    contract: Contract,
    operations: tuple[Operation, ...],
    *,
    security: tuple[Any, type],
    handlers: Mapping[str, tuple[Any, type]],
    hooks: Hooks,
) -> list[Route]:
    """Make the routes, one per path: a 405 then names every method of the path.

    Args:
        contract: Judges requests and responses.
        operations: The generated table.
        security: The object with one method per security scheme, and its generated Protocol.
        handlers: Per tag, the object with its operations, and its generated Protocol.
        hooks: What the application adds.

    Raises:
        HandlersMismatch: An operation is missing, has other arguments, or is not in the contract.
    """
    differences = _compare(security[0], security[1])
    for implementation, protocol in handlers.values():
        differences += _compare(implementation, protocol)
    if differences:
        raise HandlersMismatch("; ".join(differences))
    tables: dict[str, dict[str, Endpoint]] = {}
    for operation in operations:
        handler = getattr(handlers[operation.tag][0], operation.function)
        endpoint = Endpoint(contract, operation, handler, security[0], hooks)
        tables.setdefault(operation.path, {})[operation.method] = endpoint
    # Plain paths before templated ones.
    ordered = sorted(tables.items(), key=lambda item: ("{" in item[0], item[0]))
    return [Route(path, _Methods(table), name=path) for path, table in ordered]


def exception_handlers(hooks: Hooks) -> dict[Any, Any]:
    """Render what happens outside the contract's operations, 404 and 405, as problems."""
    codes = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}

    async def handle(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        kind = hooks.problem_types[codes.get(error.status_code, "INTERNAL_ERROR")]
        request_id = hooks.new_request_id(request.headers.get("x-request-id"))
        problem = Problem(kind, headers=dict(error.headers or {}))
        response = render_problem(problem, request_id, hooks)
        headers = response.headers | {"x-request-id": request_id}
        return Response(response.body, response.status, headers)

    return {HTTPException: handle}


class _Methods:
    """The ASGI application of one path."""

    def __init__(self, table: dict[str, Endpoint]) -> None:
        self._table = table
        self._allow = ", ".join(sorted(table))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        endpoint = self._table.get(scope["method"])
        if endpoint is None:
            raise HTTPException(405, headers={"Allow": self._allow})
        await endpoint(scope, receive, send)


def _compare(implementation: Any, protocol: type) -> list[str]:
    name = type(implementation).__name__
    wanted = {key: value for key, value in vars(protocol).items() if _is_operation(key, value)}
    differences = []
    for key, operation in wanted.items():
        given = getattr(implementation, key, None)
        if given is None:
            differences.append(f"{name} lacks {key}")
        elif not inspect.iscoroutinefunction(given):
            differences.append(f"{name}.{key} is not async")
        elif _arguments(operation) != _arguments(given):
            differences.append(f"{name}.{key} has other arguments than the contract")
    differences += [
        f"{name}.{key} is not in the contract"
        for key, value in vars(type(implementation)).items()
        if _is_operation(key, value) and key not in wanted
    ]
    return differences


def _is_operation(name: str, value: Any) -> bool:
    return not name.startswith("_") and inspect.iscoroutinefunction(value)


def _arguments(function: Any) -> set[str]:
    parameters = inspect.signature(function).parameters.values()
    return {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
