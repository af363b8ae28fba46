"""One operation as an ASGI application: authenticate, read, validate, call, validate, send.

Credentials come first, so that strangers can make us neither read nor parse. The response is judged
on the very bytes that will be sent; one that breaks the contract never leaves.
"""

import logging
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from openapi_runtime import body as request_body, refusals
from openapi_runtime.arguments import bind, find_odd_number, find_undeclared
from openapi_runtime.exchange import Request, Response
from openapi_runtime.headers import Headers, find_unsendable
from openapi_runtime.hooks import Hooks
from openapi_runtime.json_body import MalformedJson
from openapi_runtime.operations import Context, Operation, Result, StoredResponse, render
from openapi_runtime.places import Places
from openapi_runtime.problems import FieldError, Problem
from openapi_runtime.validation import Contract

__all__ = ["Endpoint", "Hooks", "render_problem", "request_id_of"]

log = logging.getLogger(__name__)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_QUERY_BYTES_MAX = 8 * 1024
_SHORT_BYTES = 64  # of a body that is remembered
_ALLOWED_MAX = 16  # answers of one operation that are remembered
_RETRY_AFTER = "1"  # seconds, for a request that has waited in vain
Handler = Callable[..., Awaitable[Any]]


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
        is_read = operation.method == "GET"
        self._places = Places(
            hooks.reads_in_progress_max if is_read else hooks.in_progress_max,
            line_max=hooks.in_line_max,
            patience_seconds=hooks.patience_seconds,
        )
        self._allowed: set[tuple[Any, ...]] = set()  # short answers, as acknowledgements are

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        started = time.perf_counter()
        context = self._context(scope)
        self._hooks.on_request(context)
        request = Request(context, scope["path"], self._contract.host_url)
        try:
            response = await self._respond(context, request, receive)
        except request_body.ClientDisconnected:
            return
        if context.response_headers:
            response = response.with_headers(context.response_headers)
        faults = self._faults_of(request, response)
        if faults:
            response = self._withhold(context, faults)
        await _send(send, response, context)
        seconds = time.perf_counter() - started
        self._hooks.on_response(context, response.status, seconds)

    def find_last_resort_faults(self) -> list[str]:
        """Check that the answer to an unexpected error is itself allowed by the contract."""
        path = self._operation.path  # a template is a path like another
        context = self._context({"path": path, "headers": [], "query_string": b""})
        response = self._render(Problem(self._kinds["INTERNAL_ERROR"]), context)
        return self._faults_of(Request(context, path, self._contract.host_url), response)

    def _context(self, scope: Any) -> Context:
        headers = Headers(scope["headers"])
        client = scope.get("client")
        query = scope["query_string"]
        return Context(
            operation=self._operation,
            request_id=request_id_of(headers, self._hooks),
            headers=headers,
            client_host=client[0] if client else "",
            path_params=scope.get("path_params") or {},
            query_params=_parse_query(query) if query else [],
        )

    async def _respond(self, context: Context, request: Request, receive: Any) -> StoredResponse:
        """Answer with a result or a problem; nothing but a disconnect leaves as an exception."""
        try:
            return self._render(await self._run(context, request, receive), context)
        except request_body.ClientDisconnected:
            raise
        except Exception as error:  # noqa: BLE001  # the boundary: everything gets an answer
            try:
                return self._render(self._problem_of(error, context), context)
            except Exception:
                log.exception("request.error_unmapped", extra=self._fields(context))
                return self._render(Problem(self._kinds["INTERNAL_ERROR"]), context)

    def _problem_of(self, error: Exception, context: Context) -> Problem:
        if isinstance(error, Problem):
            return error
        mapped = self._hooks.on_error(error, context)
        if mapped is not None:
            return mapped
        log.error("request.failed", extra=self._fields(context), exc_info=error)
        return Problem(self._kinds["INTERNAL_ERROR"])

    async def _run(self, context: Context, request: Request, receive: Any) -> Any:
        await self._authenticate(context)
        if self._operation.idempotent and context.headers.is_repeated("idempotency-key"):
            raise Problem(self._kinds["IDEMPOTENCY_KEY_INVALID"], "It was sent more than once.")
        if self._operation.body is not None:
            request_body.refuse_media_type(context.headers, self._kinds)
            request.body = context.raw_body = await request_body.read(
                receive,
                context.headers.get("content-length"),
                max_bytes=self._hooks.max_body_bytes,
                kinds=self._kinds,
            )
        arguments = self._validated_arguments(context, request)
        # Last: whose body is still coming is not in line, so who sends slowly takes nobody's place.
        if not await self._places.take():
            raise Problem(self._kinds["OVERLOADED"], headers={"retry-after": _RETRY_AFTER})
        try:
            return await self._handler(context, **arguments)
        finally:
            self._places.give_back()

    async def _authenticate(self, context: Context) -> None:
        for scheme, scopes in self._operation.security:
            kind, _, credential = context.headers.get("authorization", "").partition(" ")
            if kind.lower() != "bearer" or context.headers.is_repeated("authorization"):
                credential = ""
            authenticate = getattr(self._security, scheme)
            context.principal = await authenticate(context, credential.strip(), scopes)

    def _validated_arguments(self, context: Context, request: Request) -> dict[str, Any]:
        errors = self._contract.request_errors(request)
        if errors:
            raise refusals.problem_of(errors, self._kinds, self._contract.member_names)
        undeclared = find_undeclared(context)
        if undeclared is not None:
            raise Problem(self._kinds["VALIDATION_FAILED"], errors=(_query_fault(undeclared),))
        odd = find_odd_number(context) if context.query_params else None
        if odd is not None:
            fault = FieldError(parameter=odd, location="query", keyword="type", detail="no integer")
            raise Problem(self._kinds["VALIDATION_FAILED"], errors=(fault,))
        try:
            return bind(context, request)
        except MalformedJson as error:
            raise Problem(self._kinds["MALFORMED_REQUEST"], str(error)) from error
        except msgspec.ValidationError as error:
            fault = FieldError(detail="a value is outside the supported range")
            raise Problem(self._kinds["VALIDATION_FAILED"], errors=(fault,)) from error

    def _render(self, result: Any, context: Context) -> StoredResponse:
        if isinstance(result, StoredResponse):
            headers = {name.lower(): value for name, value in result.headers.items()}
            return StoredResponse(result.status, headers, result.body)
        if isinstance(result, Problem):
            return render_problem(result, context.request_id, self._hooks)
        if isinstance(result, Result):
            return render(result)
        raise TypeError(f"{self._operation.id} returned {type(result).__name__}")

    def _faults_of(self, request: Request, response: StoredResponse) -> list[str]:
        """List what the contract does not allow; an answer like one that it allowed is allowed."""
        unsendable = find_unsendable(response.headers)
        if unsendable is not None:
            return [f"{unsendable}: not sendable"]
        seen = (response.status, response.body, *response.headers.items())
        if seen in self._allowed:
            self._contract.stats.fast += 1
            return []
        errors = self._contract.response_errors(request, Response(response))
        if errors:
            return refusals.describe(errors, self._contract.member_names)
        is_short = len(response.body) <= _SHORT_BYTES and len(self._allowed) < _ALLOWED_MAX
        if is_short and self._contract.mode == "compiled":  # the other modes are for comparison
            self._allowed.add(seen)
        return []

    def _withhold(self, context: Context, faults: list[str]) -> StoredResponse:
        """Answer with an unexpected error instead of what breaks the contract."""
        log.error("contract.violated", extra=self._fields(context) | {"faults": faults})
        try:
            self._hooks.on_violation(context)
        except Exception:
            log.exception("contract.violation_unheard", extra=self._fields(context))
        return self._render(Problem(self._kinds["INTERNAL_ERROR"]), context)

    def _fields(self, context: Context) -> dict[str, str]:
        return {"operation": self._operation.id, "request_id": context.request_id}


def request_id_of(headers: Headers, hooks: Hooks) -> str:
    """Take the caller's name for a request if it is harmless, else make one."""
    sent = headers.get("x-request-id")
    return hooks.new_request_id(sent if sent and _REQUEST_ID.fullmatch(sent) else None)


def render_problem(problem: Problem, request_id: str, hooks: Hooks) -> StoredResponse:
    """Turn a problem into the bytes that are sent, so that they can be stored first."""
    return problem.render(request_id=request_id, type_base=hooks.problem_base)


def _parse_query(query: bytes) -> list[tuple[str, str]]:
    if len(query) > _QUERY_BYTES_MAX:
        return [("", "")]  # not worth parsing: no contract knows a parameter without a name
    return parse_qsl(query.decode("latin-1"), keep_blank_values=True)


def _query_fault(name: str) -> FieldError:
    if not name:
        return FieldError(location="query", keyword="unknown", detail="an unknown parameter")
    return FieldError(
        parameter=name, location="query", keyword="repeated", detail="was sent more than once"
    )


async def _send(send: Any, response: StoredResponse, context: Context) -> None:
    headers = response.headers | {
        "content-length": str(len(response.body)),
        "x-request-id": context.request_id,
    }
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": response.status, "headers": raw})
    await send({"type": "http.response.body", "body": response.body})
