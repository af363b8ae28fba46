"""A request that satisfies the contract -> the typed arguments of its handler."""

from typing import Any

import msgspec

from openapi_runtime import json_body
from openapi_runtime.exchange import Request
from openapi_runtime.operations import Context


def bind(context: Context, request: Request) -> dict[str, Any]:
    """Make the keyword arguments of the handler.

    Raises:
        msgspec.ValidationError: A value is valid by JSON Schema, but no struct can hold it.
        MalformedJson: The body names a member twice.
    """
    operation = context.operation
    parameters, document = request.accepted or (request.parameters, None)
    arguments: dict[str, Any] = {}
    for param in operation.params:
        value = getattr(parameters, param.location).get(param.name, param.default)
        if value is not msgspec.UNSET and param.type is not str:
            value = msgspec.convert(value, param.type, strict=False)
        arguments[param.argument] = value
    if operation.body is not None:
        arguments["body"] = None
        if request.body:
            if request.accepted is None:
                document = json_body.loads(request.body)
            json_body.refuse_repeated_members(request.body, document)
            context.decoded_body = document
            arguments["body"] = msgspec.convert(document, operation.body)
    return arguments


def find_undeclared(context: Context) -> str | None:
    """Find what the contract language cannot forbid: unknown and repeated query parameters.

    Returns:
        The name of a repeated parameter, "" for an unknown one (its name is the client's), or None.
    """
    if not context.query_params:
        return None
    known = {param.name for param in context.operation.params if param.location == "query"}
    seen: set[str] = set()
    for name, _ in context.query_params:
        if name not in known:
            return ""
        if name in seen:
            return name
        seen.add(name)
    return None
