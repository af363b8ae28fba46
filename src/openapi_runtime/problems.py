"""Problems: what goes wrong, as RFC 9457 says it, with a stable code."""

from dataclasses import dataclass
from typing import Any

import msgspec

from openapi_runtime.operations import StoredResponse

MEDIA_TYPE = "application/problem+json"
ERRORS_MAX = 50
# What this package itself answers with; every catalogue must have them.
RUNTIME_CODES = (
    "MALFORMED_REQUEST", "IDEMPOTENCY_KEY_MISSING", "IDEMPOTENCY_KEY_INVALID", "UNAUTHENTICATED",
    "NOT_FOUND", "METHOD_NOT_ALLOWED", "REQUEST_TIMEOUT", "PAYLOAD_TOO_LARGE",
    "UNSUPPORTED_MEDIA_TYPE", "VALIDATION_FAILED", "OVERLOADED", "INTERNAL_ERROR",
)  # fmt: skip
_MEMBERS = frozenset({
    "type", "title", "status", "detail", "instance", "code", "request_id", "retryable", "errors",
})  # fmt: skip
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class ProblemType:
    """An entry of the contract's catalogue `x-error-codes`."""

    code: str
    status: int
    title: str
    retryable: bool


class FieldError(msgspec.Struct, frozen=True, kw_only=True, rename={"location": "in"}):
    """One fault of a request. It names the place and the rule, never the value."""

    pointer: str | msgspec.UnsetType = msgspec.UNSET
    parameter: str | msgspec.UnsetType = msgspec.UNSET
    location: str | msgspec.UnsetType = msgspec.UNSET  # path, query or header
    keyword: str | msgspec.UnsetType = msgspec.UNSET
    detail: str


class Problem(Exception):
    """A problem to answer with; a handler may return it or raise it.

    Args:
        kind: The entry of the catalogue.
        detail: What is wrong this time; safe to show, without secrets and payloads.
        errors: The faults of a request; the first 50 are told.
        headers: For the response, for example Retry-After.
        members: Extension members that the catalogue names for this code.
    """

    def __init__(
        self,
        kind: ProblemType,
        detail: str | None = None,
        errors: tuple[FieldError, ...] = (),
        headers: dict[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail or kind.title)
        taken = _MEMBERS & members.keys()
        assert not taken, f"not extension members: {sorted(taken)}"
        self.kind = kind
        self.detail = detail
        self.errors = errors[:ERRORS_MAX]
        self.headers = headers or {}
        self.members = members

    def document(self, *, request_id: str, type_base: str) -> dict[str, Any]:
        """Build the JSON document; `type_base` is where the codes are documented."""
        document: dict[str, Any] = {
            "type": f"{type_base}#{self.kind.code}",
            "title": self.kind.title,
            "status": self.kind.status,
        }
        if self.detail is not None:
            document["detail"] = self.detail
        document |= {
            "instance": f"urn:request:{request_id}",
            "code": self.kind.code,
            "request_id": request_id,
            "retryable": self.kind.retryable,
        }
        if self.errors:
            document["errors"] = self.errors
        return document | self.members

    def render(self, *, request_id: str, type_base: str) -> StoredResponse:
        """Turn the problem into the bytes that are sent."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        headers["content-type"] = MEDIA_TYPE
        body = _encode(self.document(request_id=request_id, type_base=type_base))
        return StoredResponse(self.kind.status, headers, body)
