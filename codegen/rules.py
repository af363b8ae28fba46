"""Rules of the contract that look at more than one place."""

import re
from itertools import combinations

from codegen.model import Contract, Document, Node, Operation, Unsupported
from codegen.names import snake

_OPERATION_ID = re.compile(r"[a-z][A-Za-z0-9]*")
_PATH = re.compile(r"(/([A-Za-z0-9._~-]+|\{[a-z][a-z0-9_]*\}))+")
_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_ARGUMENTS_TAKEN = ["self", "context", "body"]
_FIELDS_TAKEN = ["status", "media_type", "header_names", "body"]


def check(contract: Contract) -> None:
    """Check what only the whole contract shows.

    Raises:
        Unsupported: A rule is broken; the location is in the message.
    """
    if [server.get("url") for server in contract.document.content.get("servers", [])] != ["/"]:
        raise Unsupported("#/servers", "exactly one, /: routes have no prefix")
    for name, scheme in contract.security_schemes.items():
        if (scheme.get("type"), scheme.get("scheme")) != ("http", "bearer"):
            raise Unsupported(f"#/components/securitySchemes/{name}", "only http bearer")
    seen: dict[str, Operation] = {}
    for operation in contract.operations:
        _check_operation(operation)
        if operation.function in seen:
            other = seen[operation.function].where
            raise Unsupported(operation.where, f"has the operationId of {other}")
        seen[operation.function] = operation
    _refuse_ambiguous_paths(contract)
    _check_error_codes(contract)


def check_simple(document: Document, schema: Node, where: str) -> Node:
    """Check that a parameter or header can be written as plain text; returns its schema.

    Raises:
        Unsupported: It cannot.
    """
    resolved, at = document.resolve(schema, where)
    if resolved.get("type") not in ("string", "integer", "boolean"):  # a tuple: it may be a list
        raise Unsupported(f"{at}/type", "must be a string, an integer or a boolean")
    if resolved is not schema and "default" in resolved:
        raise Unsupported(f"{at}/default", "a default belongs to the parameter")
    return resolved


def _check_operation(operation: Operation) -> None:
    if not _OPERATION_ID.fullmatch(operation.id):
        raise Unsupported(f"{operation.where}/operationId", "is written likeThis")
    if not _PATH.fullmatch(operation.path):
        raise Unsupported(operation.where, "a path is /plain/{templated}, with no slash at the end")
    templates = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    named = {p.name for p in operation.parameters if p.location == "path"}
    if named != set(templates) or len(templates) != len(named):
        raise Unsupported(operation.where, "path parameters and the path's templates differ")
    _refuse_equal_names([p.name for p in operation.parameters], _ARGUMENTS_TAKEN, operation.where)
    for response in operation.responses:
        _refuse_equal_names(list(response.headers), _FIELDS_TAKEN, response.where)
    if not any(response.status == "default" for response in operation.responses):
        raise Unsupported(f"{operation.where}/responses", "default must tell the other problems")
    if all(response.is_problem for response in operation.responses):
        raise Unsupported(f"{operation.where}/responses", "there is no success")


def _refuse_equal_names(names: list[str], taken: list[str], where: str) -> None:
    seen = set(taken)
    for name in map(snake, names):
        if name in seen:
            raise Unsupported(where, f"Python would call two things {name}")
        seen.add(name)


def _refuse_ambiguous_paths(contract: Contract) -> None:
    templated = sorted({op.path for op in contract.operations if "{" in op.path})
    for first, second in combinations(templated, 2):
        one, two = first.split("/"), second.split("/")
        if len(one) == len(two) and all(
            a == b or a.startswith("{") or b.startswith("{") for a, b in zip(one, two, strict=True)
        ):
            raise Unsupported(
                f"#/paths/{second.replace('/', '~1')}", f"cannot be told from {first}"
            )


def _check_error_codes(contract: Contract) -> None:
    for code, entry in contract.error_codes.items():
        where = f"#/x-error-codes/{code}"
        if not _CODE.fullmatch(code):
            raise Unsupported(where, "a code is written LIKE_THIS")
        if not isinstance(entry, dict) or not _is_entry(entry):
            raise Unsupported(where, "needs status, title, retryable, description and action")
        _check_members(contract, entry, f"{where}/members")
    listed = contract.document.content["components"]["schemas"].get("ErrorCode", {}).get("enum")
    if listed is not None and set(listed) != set(contract.error_codes):
        raise Unsupported("#/components/schemas/ErrorCode/enum", "differs from #/x-error-codes")
    statuses = {"default", *(str(entry["status"]) for entry in contract.error_codes.values())}
    for operation in contract.operations:
        for response in operation.responses:
            if response.is_problem and response.status not in statuses:
                raise Unsupported(response.where, "no error code has this status")


_ENTRY = {"status": int, "title": str, "retryable": bool, "description": str, "action": str}


def _is_entry(entry: Node) -> bool:
    return {k: type(v) for k, v in entry.items() if k != "members"} == _ENTRY


def _check_members(contract: Contract, entry: Node, where: str) -> None:
    """A client reads them from the problem: they have a type there."""
    problem = contract.document.content["components"]["schemas"].get("Problem", {})
    for member in entry.get("members", []):
        if member not in problem.get("properties", {}):
            raise Unsupported(where, f"Problem has no member {member}")
