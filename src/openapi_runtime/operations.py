"""What generated code is made of: operations, their parameters and results, a call's context."""

from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec

from openapi_runtime.headers import Headers

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter: the handler's argument, and where it comes from."""

    argument: str
    name: str
    location: str  # path, query or header
    type: Any
    default: Any = msgspec.UNSET


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the contract."""

    id: str
    method: str
    path: str
    tag: str
    function: str
    body: Any  # the struct, or None
    security: tuple[tuple[str, tuple[str, ...]], ...]  # scheme and scopes; empty = open to all
    params: tuple[Param, ...]
    statuses: tuple[str, ...]
    idempotent: bool  # requires an Idempotency-Key


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A documented success. Subclasses add `body` and the response's headers as fields."""

    status: ClassVar[int] = 200
    media_type: ClassVar[str | None] = None
    header_names: ClassVar[dict[str, str]] = {}


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response as bytes; a handler may return one, and it is validated like every other.

    `content-length` and `x-request-id` are added when it is sent: they belong to the delivery.
    """

    status: int
    headers: dict[str, str]
    body: bytes

    def with_headers(self, headers: dict[str, str]) -> "StoredResponse":
        """Copy it, with more headers."""
        return StoredResponse(self.status, self.headers | headers, self.body)


def render(result: Result) -> StoredResponse:
    """Turn a result into the bytes that are sent, so that they can be stored first.

    Raises:
        TypeError, ValueError: The body holds something that JSON cannot.
    """
    headers: dict[str, str] = {}
    body = b""
    if result.media_type is not None:
        content = result.body  # type: ignore[attr-defined]  # subclasses with a media type have it
        body = content if isinstance(content, bytes) else _encode(content)
        headers["content-type"] = result.media_type
    for attribute, name in result.header_names.items():
        value = getattr(result, attribute)
        if value is not msgspec.UNSET:
            headers[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return StoredResponse(result.status, headers, body)


class Context:
    """Everything about a call that is not a parameter of its operation. One per request.

    Attributes:
        principal: What the SecurityApi returned; None where the contract asks for no credentials.
        raw_body: The bytes as they came; empty until they are read.
        decoded_body: The JSON document before it became a struct, unknown members included.
        response_headers: Of this delivery of the answer, whatever the answer is; in lower case.
            They are judged with it, and an answer that breaks the contract is sent without them.
    """

    __slots__ = (
        "client_host", "decoded_body", "headers", "operation", "path_params", "principal",
        "query_params", "raw_body", "request_id", "response_headers",
    )  # fmt: skip

    def __init__(
        self,
        *,
        operation: Operation,
        request_id: str,
        headers: Headers,
        client_host: str,
        path_params: dict[str, str],
        query_params: list[tuple[str, str]],
    ) -> None:
        self.operation = operation
        self.request_id = request_id
        self.headers = headers
        self.client_host = client_host
        self.path_params = path_params
        self.query_params = query_params
        self.principal: Any = None
        self.raw_body = b""
        self.decoded_body: Any = None
        self.response_headers: dict[str, str] = {}
