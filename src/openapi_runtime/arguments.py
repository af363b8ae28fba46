"""A request that satisfies the contract -> the typed arguments of its handler."""

import re
from typing import Any

import msgspec

from openapi_runtime import json_body
from openapi_runtime.exchange import Request
from openapi_runtime.operations import Context

_INTEGER = re.compile(r"0|-?[1-9][0-9]*")


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


def find_odd_number(context: Context) -> str | None:
    """Find a number that int() reads although no JSON is written so: 1_0, +5, full-width digits.

    Returns:
        The name of the query parameter, or None.
    """
    for param in context.operation.params:
        if param.location == "query" and param.type is int:
            sent = next((text for name, text in context.query_params if name == param.name), "0")
            if not _INTEGER.fullmatch(sent):
                return param.name
    return None


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
