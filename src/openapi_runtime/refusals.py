"""openapi-core's refusals -> problems. Never by `str(error)`: that prints the whole body.

A fault names the place and the rule. Values are masked, and a pointer ends where the names are the
client's own: keys of free-form objects are payload too.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from openapi_core.templating.media_types.exceptions import MediaTypeNotFound
from openapi_core.templating.paths.exceptions import PathError
from openapi_core.validation.request.exceptions import (
    InvalidRequestBody,
    MissingRequiredParameter,
    MissingRequiredRequestBody,
    ParameterValidationError,
    RequestBodyValidationError,
    SecurityValidationError,
)

from openapi_runtime.json_body import MalformedJson
from openapi_runtime.problems import FieldError, Problem, ProblemType

Names = frozenset[str]  # the members that the contract names
_DETAIL_MAX = 500
# These name members of the payload in their messages.
_SILENT = {
    "additionalProperties": "a member that the contract does not know",
    "unevaluatedProperties": "a member that the contract does not know",
    "propertyNames": "a member name that the contract does not allow",
    "oneOf": "matches none of the variants",
    "anyOf": "matches none of the variants",
}


def problem_of(
    errors: Iterable[Exception], kinds: Mapping[str, ProblemType], names: Names
) -> Problem:
    """Turn what openapi-core found wrong with a request into one problem."""
    faults: list[FieldError] = []
    for error in errors:
        special = _special_problem(error, kinds)
        if special is not None:
            return special
        if isinstance(error, InvalidRequestBody):
            for schema_error in getattr(error.__cause__, "schema_errors", ()):
                faults.extend(_faults_of(schema_error, names))
        elif isinstance(error, ParameterValidationError):
            faults.append(_parameter_fault(error))
        else:
            faults.append(FieldError(detail="does not satisfy the contract"))
    return Problem(kinds["VALIDATION_FAILED"], errors=tuple(faults))


def describe(errors: Iterable[Exception], names: Names) -> list[str]:
    """Describe faults for the log, as safely as for the client."""
    lines: list[str] = []
    for error in errors:
        found = getattr(error.__cause__, "schema_errors", ())
        faults = [fault for schema_error in found for fault in _faults_of(schema_error, names)]
        name = getattr(error, "name", "")
        lines += [f"{name}{fault.pointer}: {fault.keyword}" for fault in faults]
        if not faults:
            lines.append(f"{name}: {type(error.__cause__ or error).__name__}")
    return lines


def pointer_of(path: Iterable[Any], names: Names) -> str:
    """Write a JSON pointer (RFC 6901), as far as the contract names the way."""
    pointer = ""
    for part in path:
        if isinstance(part, str) and part not in names:
            break
        pointer += "/" + str(part).replace("~", "~0").replace("/", "~1")
    return pointer


def _special_problem(error: Exception, kinds: Mapping[str, ProblemType]) -> Problem | None:
    """Answer with the code that some refusals have of their own."""
    cause = error.__cause__ or error
    if isinstance(error, SecurityValidationError):
        return Problem(kinds["UNAUTHENTICATED"], headers={"www-authenticate": "Bearer"})
    if isinstance(error, PathError):
        return Problem(kinds["NOT_FOUND"])
    if isinstance(error, ParameterValidationError):
        return _parameter_problem(error, kinds)
    if isinstance(cause, MediaTypeNotFound):
        return Problem(kinds["UNSUPPORTED_MEDIA_TYPE"])
    if isinstance(error, RequestBodyValidationError) and not hasattr(cause, "schema_errors"):
        return Problem(kinds["MALFORMED_REQUEST"], _malformation(error))
    return None


def _malformation(error: BaseException) -> str:
    """Find our own decoder's sentence under openapi-core's layers."""
    if isinstance(error, MissingRequiredRequestBody):
        return "A body is required."
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, MalformedJson):
        cause = cause.__cause__ or cause.__context__
    return str(cause) if cause is not None else "The body is not JSON."


def _faults_of(error: Any, names: Names) -> Iterator[FieldError]:
    keyword = _keyword(error)
    chosen = _chosen_variant(error) if keyword == "oneOf" else None
    if chosen is not None:
        for inner in chosen:
            yield from _faults_of(inner, names)
        return
    yield FieldError(
        pointer=pointer_of(_place(error), names),
        keyword=keyword,
        detail=_detail(error),
    )


def _chosen_variant(error: Any) -> list[Any] | None:
    """Find the variant that the discriminator chose: the one whose constant is not violated."""
    for variant in getattr(getattr(error, "kind", None), "context", ()):
        if all(_keyword(inner) != "const" for inner in variant):
            return list(variant)
    return None


def _keyword(error: Any) -> str:
    kind = getattr(error, "kind", None)
    return str(getattr(kind, "name", None) or getattr(error, "validator", "") or "schema")


def _detail(error: Any) -> str:
    keyword = _keyword(error)
    if not hasattr(error, "kind"):  # python-jsonschema, in the stock mode: it shows values
        return f"violates {keyword}"
    return _SILENT.get(keyword) or str(error.message)[:_DETAIL_MAX]


def _place(error: Any) -> Iterable[Any]:
    place: Iterable[Any] | None = getattr(error, "instance_path", None)
    return error.absolute_path if place is None else place


def _parameter_problem(error: Any, kinds: Mapping[str, ProblemType]) -> Problem | None:
    location, name = getattr(error, "location", ""), str(getattr(error, "name", ""))
    if location == "path":
        # Such a name was never given to anything: there cannot be such a resource.
        return Problem(kinds["NOT_FOUND"])
    if location == "header" and name.lower() == "idempotency-key":
        missing = isinstance(error, MissingRequiredParameter)
        code = "IDEMPOTENCY_KEY_MISSING" if missing else "IDEMPOTENCY_KEY_INVALID"
        return Problem(kinds[code])
    return None


def _parameter_fault(error: Any) -> FieldError:
    causes = getattr(error.__cause__, "schema_errors", ())
    keyword = _keyword(causes[0]) if causes else "type"
    detail = _detail(causes[0]) if causes else "cannot be read"
    if isinstance(error, MissingRequiredParameter):
        keyword, detail = "required", "is required"
    return FieldError(
        parameter=str(error.name), location=str(error.location), keyword=keyword, detail=detail
    )
