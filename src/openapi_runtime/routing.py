"""Generated operations and hand-written handlers -> Starlette routes.

A handler that lacks an operation is a type error; it is also refused here, at the start, together
with handlers for operations that the contract does not have.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from openapi_runtime.endpoint import Endpoint, render_problem, request_id_of
from openapi_runtime.handlers import compare
from openapi_runtime.headers import Headers
from openapi_runtime.hooks import Hooks
from openapi_runtime.operations import Operation
from openapi_runtime.problems import RUNTIME_CODES, Problem
from openapi_runtime.validation import Contract


class HandlersMismatch(TypeError):
    """The application is not what the contract asks for; the message lists every difference."""


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
        HandlersMismatch: An operation is missing, has other arguments, or is not in the contract;
            or the catalogue lacks a code that this package answers with.
    """
    differences = [
        f"the catalogue of problems lacks {code}"
        for code in RUNTIME_CODES
        if code not in hooks.problem_types
    ]
    for implementation, protocol in (security, *handlers.values()):
        differences += compare(implementation, protocol)
    if differences:
        raise HandlersMismatch("; ".join(differences))
    tables: dict[str, dict[str, Endpoint]] = {}
    for operation in operations:
        handler = getattr(handlers[operation.tag][0], operation.function)
        endpoint = Endpoint(contract, operation, handler, security[0], hooks)
        if faults := endpoint.find_last_resort_faults():
            raise HandlersMismatch(f"{operation.id} does not allow INTERNAL_ERROR: {faults}")
        tables.setdefault(operation.path, {})[operation.method] = endpoint
    # Plain paths before templated ones.
    ordered = sorted(tables.items(), key=lambda item: ("{" in item[0], item[0]))
    return [Route(path, _Methods(table), name=path) for path, table in ordered]


def _exception_handlers(hooks: Hooks) -> dict[Any, Any]:
    """Render what happens outside the contract's operations, 404 and 405, as problems."""
    codes = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}

    async def handle(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        kind = hooks.problem_types[codes.get(error.status_code, "INTERNAL_ERROR")]
        request_id = request_id_of(Headers(request.scope["headers"]), hooks)
        problem = Problem(kind, headers=dict(error.headers or {}))
        response = render_problem(problem, request_id, hooks)
        headers = response.headers | {"x-request-id": request_id}
        hooks.on_miss(request_id, response.status)
        return Response(response.body, response.status, headers)

    return {HTTPException: handle}


class Application(Starlette):
    """Starlette, but for operations whose path has no parameters: those are found in a table.

    An endpoint answers its own errors, so it needs none of what is passed by: the search for its
    route, and the middleware that turns exceptions into answers.
    """

    def __init__(self, routes: Sequence[BaseRoute], hooks: Hooks) -> None:
        super().__init__(routes=routes, exception_handlers=_exception_handlers(hooks))
        self.router.redirect_slashes = False  # a redirect would leave the contract
        self._plain = {
            (method, route.path): endpoint
            for route in routes
            if isinstance(route, Route) and isinstance(route.endpoint, _Methods)
            for method, endpoint in route.endpoint.table.items()
            if "{" not in route.path
        }

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        endpoint = self._plain.get((scope.get("method"), scope.get("path")))
        if endpoint is None:
            await super().__call__(scope, receive, send)
        else:
            await endpoint(scope, receive, send)


class _Methods:
    """The ASGI application of one path."""

    def __init__(self, table: dict[str, Endpoint]) -> None:
        self.table = table
        self._allow = ", ".join(sorted(table))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].endswith("\n"):  # the router's "$" lets one line feed through
            raise HTTPException(404)
        endpoint = self.table.get(scope["method"])
        if endpoint is None:
            raise HTTPException(405, headers={"Allow": self._allow})
        await endpoint(scope, receive, send)
