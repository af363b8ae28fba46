"""What generated code is made of: operations, their parameters and results, and a call's context."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec

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
    idempotent: bool  # takes an Idempotency-Key


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A documented success. Subclasses add `body` and the response's headers as fields."""

    status: ClassVar[int] = 200
    media_type: ClassVar[str | None] = None
    header_names: ClassVar[dict[str, str]] = {}


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response as bytes; a handler may return one, and it is validated like every other."""

    status: int
    headers: dict[str, str]
    body: bytes


def render(result: Result) -> StoredResponse:
    """Turn a result into the bytes that are sent, so that they can be stored first."""
    headers: dict[str, str] = {}
    body = b""
    if result.media_type is not None:
        content = result.body  # type: ignore[attr-defined]  # every subclass with a media type has it
        body = content if isinstance(content, bytes) else _encode(content)
        headers["content-type"] = result.media_type
    for attribute, name in result.header_names.items():
        value = getattr(result, attribute)
        if value is not msgspec.UNSET:
            headers[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return StoredResponse(result.status, headers, body)


class Headers(Mapping[str, str]):
    """A request's headers, case-insensitive; of repeated ones the first counts."""

    __slots__ = ("_first", "raw")

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        self.raw = raw
        self._first = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in reversed(raw)}

    def __getitem__(self, name: str) -> str:
        return self._first[name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._first

    def get(self, name: str, default: Any = None) -> Any:
        """Return a header's value or a default."""
        return self._first.get(name.lower(), default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._first)

    def __len__(self) -> int:
        return len(self._first)

    def count(self, name: str) -> int:
        """Count how often a header was sent."""
        wanted = name.lower().encode("latin-1")
        return sum(1 for key, _ in self.raw if key.lower() == wanted)


class Context:
    """Everything about a call that is not a parameter of its operation. One per request."""

    __slots__ = (
        "client_host", "decoded_body", "headers", "operation", "path_params", "principal",
        "query_params", "raw_body", "request_id",
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
