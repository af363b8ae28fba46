"""openapi-core's refusals -> problems. Never by `str(error)`: that prints the whole body."""

from collections.abc import Iterable, Mapping
from typing import Any

from openapi_core.templating.media_types.exceptions import MediaTypeNotFound
from openapi_core.validation.request.exceptions import (
    InvalidRequestBody,
    MissingRequiredParameter,
    MissingRequiredRequestBody,
    ParameterValidationError,
    RequestBodyValidationError,
    SecurityValidationError,
)

from openapi_runtime.problems import FieldError, Problem, ProblemType

_DETAIL_MAX = 500
# These name members of the payload in their messages.
_SILENT = {
    "additionalProperties": "a member that the contract does not know",
    "unevaluatedProperties": "a member that the contract does not know",
    "propertyNames": "a member name that the contract does not allow",
    "oneOf": "matches none of the variants",
    "anyOf": "matches none of the variants",
}


def problem_of(errors: Iterable[Exception], kinds: Mapping[str, ProblemType]) -> Problem:
    """Turn what openapi-core found into one problem."""
    faults: list[FieldError] = []
    for error in errors:
        cause = error.__cause__ or error
        if isinstance(error, SecurityValidationError):
            return Problem(kinds["UNAUTHENTICATED"], headers={"www-authenticate": "Bearer"})
        if isinstance(cause, MediaTypeNotFound):
            return Problem(kinds["UNSUPPORTED_MEDIA_TYPE"])
        if isinstance(error, MissingRequiredRequestBody):
            return Problem(kinds["MALFORMED_REQUEST"], detail="A body is required.")
        if isinstance(error, InvalidRequestBody):
            faults.extend(map(_fault_of, getattr(cause, "schema_errors", ())))
        elif isinstance(error, RequestBodyValidationError):
            return Problem(kinds["MALFORMED_REQUEST"], detail="The body is not JSON.")
        elif isinstance(error, ParameterValidationError | MissingRequiredParameter):
            problem = _parameter_problem(error, kinds)
            if problem is not None:
                return problem
            faults.append(_parameter_fault(error))
        else:
            faults.append(FieldError(detail="does not satisfy the contract"))
    return Problem(kinds["VALIDATION_FAILED"], errors=tuple(faults))


def pointer(path: Iterable[Any]) -> str:
    """Write a JSON pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _fault_of(error: Any) -> FieldError:
    keyword = _keyword(error)
    return FieldError(
        pointer=pointer(_place(error))[:1024],
        keyword=keyword,
        detail=_SILENT.get(keyword) or str(error.message)[:_DETAIL_MAX],
    )


def _keyword(error: Any) -> str:
    kind = getattr(error, "kind", None)
    return str(getattr(kind, "name", None) or getattr(error, "validator", "") or "schema")


def _place(error: Any) -> Iterable[Any]:
    place = getattr(error, "instance_path", None)
    return error.absolute_path if place is None else place


def _parameter_problem(error: Any, kinds: Mapping[str, ProblemType]) -> Problem | None:
    """Some parameters have a code of their own."""
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
    detail = str(causes[0].message)[:_DETAIL_MAX] if causes else "cannot be read"
    if isinstance(error, MissingRequiredParameter):
        keyword, detail = "required", "is required"
    name = str(getattr(error, "name", ""))
    return FieldError(parameter=name, keyword=keyword, detail=detail)
