"""Our requests and responses as openapi-core asks to see them."""

from typing import Any

from openapi_core.datatypes import RequestParameters

from openapi_runtime.body import media_type_of
from openapi_runtime.headers import Headers
from openapi_runtime.operations import Context, StoredResponse


class Request:
    """What openapi-core asks of a request; `found` and `accepted` are filled on the way."""

    __slots__ = (
        "accepted", "body", "content_type", "found", "host_url", "method", "parameters", "path",
    )  # fmt: skip

    def __init__(self, context: Context, path: str, host_url: str) -> None:
        self.accepted: tuple[Any, Any] | None = None
        self.found: Any = None
        self.body: bytes | None = None
        # Without parameters: JSON has none, and openapi-core crashes on malformed ones.
        declared = context.headers.get("content-type")
        self.content_type = media_type_of(declared) if declared else "application/octet-stream"
        self.host_url = host_url
        self.method = context.operation.method.lower()
        self.path = path
        self.parameters = RequestParameters(
            query=dict(context.query_params),
            header=context.headers,
            cookie={},
            path=context.path_params,
        )


class Response:
    """What openapi-core asks of a response."""

    __slots__ = ("content_type", "data", "headers", "status_code")

    def __init__(self, response: StoredResponse) -> None:
        self.status_code = response.status
        self.headers = Headers.of_text(response.headers)
        self.data = response.body
        self.content_type = media_type_of(response.headers.get("content-type", ""))
