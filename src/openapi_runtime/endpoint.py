"""One operation as an ASGI application: authenticate, read, validate, call, validate, send.

Credentials come first, so that strangers can make us neither read nor parse. The response is judged
on the very bytes that will be sent; one that breaks the contract never leaves.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from openapi_core.datatypes import RequestParameters

from openapi_runtime import body as request_body, json_body, refusals
from openapi_runtime.contract import Contract
from openapi_runtime.operations import Context, Headers, Operation, Result, StoredResponse, render
from openapi_runtime.problems import MEDIA_TYPE, FieldError, Problem, ProblemType

log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode
Handler = Callable[..., Awaitable[Any]]


def _unmapped(error: Exception, _context: Context) -> Problem | None:
    return None


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """What the application adds.

    Attributes:
        problem_types: The contract's catalogue.
        problem_base: Where the codes are documented; the code is added as a fragment.
        new_request_id: Accepts the header X-Request-Id, or makes a name for a request.
        on_error: Maps an exception of a handler to a problem; None means an unexpected error.
        on_violation: Called when a response of ours broke the contract.
        on_response: Called after every response with its status and the seconds it took.
    """

    problem_types: Mapping[str, ProblemType]
    problem_base: str
    new_request_id: Callable[[str | None], str]
    on_error: Callable[[Exception, Context], Problem | None] = _unmapped
    on_violation: Callable[[Context], None] = field(default=lambda _context: None)
    on_response: Callable[[Context, int, float], None] = field(
        default=lambda _context, _status, _seconds: None
    )
    max_body_bytes: int = 64 * 1024
    body_timeout_seconds: float = 10.0


class _Request:
    """What openapi-core asks of a request."""

    __slots__ = (
        "accepted", "body", "content_type", "host_url", "method", "parameters", "path",
    )  # fmt: skip

    def __init__(self, context: Context, path: str) -> None:
        self.accepted: tuple[Any, Any] | None = None
        self.body: bytes | None = None
        self.content_type = context.headers.get("content-type") or "application/octet-stream"
        self.host_url = ""
        self.method = context.operation.method.lower()
        self.path = path
        self.parameters = RequestParameters(
            query=dict(context.query_params),  # type: ignore[arg-type]  # any mapping will do
            header=context.headers,  # type: ignore[arg-type]  # any mapping will do
            cookie={},  # type: ignore[arg-type]  # any mapping will do
            path=context.path_params,
        )


class _Response:
    """What openapi-core asks of a response."""

    __slots__ = ("content_type", "data", "headers", "status_code")

    def __init__(self, response: StoredResponse) -> None:
        self.status_code = response.status
        self.headers = Headers(
            [
                (name.encode("latin-1"), value.encode("latin-1"))
                for name, value in response.headers.items()
            ]
        )
        self.data = response.body
        self.content_type = self.headers.get("content-type", "")


class Endpoint:
    """The ASGI application of one operation."""

    def __init__(
        self,
        contract: Contract,
        operation: Operation,
        handler: Handler,
        security: Any,
        hooks: Hooks,
    ) -> None:
        self._contract = contract
        self._operation = operation
        self._handler = handler
        self._security = security
        self._hooks = hooks
        self._kinds = hooks.problem_types
        self._query_names = {p.name for p in operation.params if p.location == "query"}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        started = time.perf_counter()
        context = self._context(scope)
        request = _Request(context, scope["path"])
        try:
            response = await self._respond(context, request, receive)
        except request_body.ClientDisconnected:
            return
        if list(self._contract.response_errors(request, _Response(response))):
            self._hooks.on_violation(context)
            log.error("contract.violated", extra={"operation": self._operation.id})
            response = self._render_problem(Problem(self._kinds["INTERNAL_ERROR"]), context)
        await _send(send, response, context.request_id)
        seconds = time.perf_counter() - started
        self._hooks.on_response(context, response.status, seconds)

    def _context(self, scope: Any) -> Context:
        headers = Headers(scope["headers"])
        client = scope.get("client")
        query = scope["query_string"]
        return Context(
            operation=self._operation,
            request_id=self._hooks.new_request_id(headers.get("x-request-id")),
            headers=headers,
            client_host=client[0] if client else "",
            path_params=scope.get("path_params") or {},
            query_params=(
                parse_qsl(query.decode("latin-1"), keep_blank_values=True) if query else []
            ),
        )

    async def _respond(self, context: Context, request: _Request, receive: Any) -> StoredResponse:
        try:
            result = await self._run(context, request, receive)
        except Problem as problem:
            return self._render_problem(problem, context)
        except request_body.ClientDisconnected:
            raise
        except Exception as error:
            mapped = self._hooks.on_error(error, context)
            if mapped is None:
                log.exception("request.failed", extra={"operation": self._operation.id})
                mapped = Problem(self._kinds["INTERNAL_ERROR"])
            return self._render_problem(mapped, context)
        if isinstance(result, StoredResponse):
            return result
        if isinstance(result, Problem):
            return self._render_problem(result, context)
        assert isinstance(result, Result), f"{self._operation.id} returned {type(result)}"
        return render(result)

    async def _run(self, context: Context, request: _Request, receive: Any) -> Any:
        await self._authenticate(context)
        self._check_repetition(context)
        if self._operation.body is not None:
            request.body = context.raw_body = await request_body.read(
                receive,
                context.headers.get("content-length"),
                max_bytes=self._hooks.max_body_bytes,
                timeout_seconds=self._hooks.body_timeout_seconds,
                kinds=self._kinds,
            )
        errors = list(self._contract.request_errors(request))
        if errors:
            raise refusals.problem_of(errors, self._kinds)
        arguments = self._bind(context, request)
        return await self._handler(context, **arguments)

    async def _authenticate(self, context: Context) -> None:
        for scheme, scopes in self._operation.security:
            kind, _, credential = context.headers.get("authorization", "").partition(" ")
            if kind.lower() != "bearer" or context.headers.count("authorization") > 1:
                credential = ""
            authenticate = getattr(self._security, scheme)
            context.principal = await authenticate(context, credential.strip(), scopes)

    def _check_repetition(self, context: Context) -> None:
        """Refuse what the contract language cannot: unknown and repeated parameters."""
        if context.headers.count("idempotency-key") > 1:
            raise Problem(self._kinds["IDEMPOTENCY_KEY_INVALID"], detail="Send it once.")
        names = [name for name, _ in context.query_params]
        if len(set(names)) != len(names) or not self._query_names.issuperset(names):
            fault = FieldError(keyword="query", detail="an unknown or repeated query parameter")
            raise Problem(self._kinds["VALIDATION_FAILED"], errors=(fault,))

    def _bind(self, context: Context, request: _Request) -> dict[str, Any]:
        accepted = request.accepted
        parameters, document = accepted or (None, None)
        if accepted is None and request.body:
            document = json_body.loads(request.body)
        arguments: dict[str, Any] = {}
        try:
            for param in self._operation.params:
                source = getattr(parameters or request.parameters, param.location)
                value = source.get(param.name, param.default)
                if value is not msgspec.UNSET and param.type is not str:
                    value = msgspec.convert(value, param.type, strict=False)
                arguments[param.argument] = value
            if self._operation.body is not None:
                arguments["body"] = self._bind_body(context, request, document)
        except msgspec.ValidationError as error:
            # JSON Schema takes what the struct cannot hold.
            fault = FieldError(detail="a value is outside the supported range")
            raise Problem(self._kinds["VALIDATION_FAILED"], errors=(fault,)) from error
        return arguments

    def _bind_body(self, context: Context, request: _Request, document: Any) -> Any:
        if not request.body:
            return None
        try:
            json_body.refuse_repeated_members(request.body, document)
        except json_body.MalformedJson as error:
            raise Problem(self._kinds["MALFORMED_REQUEST"], detail=str(error)) from error
        context.decoded_body = document
        return msgspec.convert(document, self._operation.body)

    def _render_problem(self, problem: Problem, context: Context) -> StoredResponse:
        return render_problem(problem, context.request_id, self._hooks)


def render_problem(problem: Problem, request_id: str, hooks: Hooks) -> StoredResponse:
    """Turn a problem into the bytes that are sent."""
    document = problem.document(request_id=request_id, type_base=hooks.problem_base)
    headers = {"content-type": MEDIA_TYPE, **problem.headers}
    return StoredResponse(problem.kind.status, headers, _encode(document))


async def _send(send: Any, response: StoredResponse, request_id: str) -> None:
    headers = [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, value in response.headers.items()
    ]
    headers.append((b"content-length", str(len(response.body)).encode()))
    headers.append((b"x-request-id", request_id.encode("latin-1")))
    start = {"type": "http.response.start", "status": response.status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": response.body})
