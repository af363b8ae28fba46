"""openapi-core's validators with two quicker ways in: "lean" and "compiled".

Lean keeps openapi-core's control flow and only spares it what is computed anew for every request.
Compiled asks a plan first; the plan may accept, everything else is openapi-core's own decision.
"""

from collections.abc import Iterator
from typing import Any

from openapi_core.datatypes import Parameters
from openapi_core.validation.request.exceptions import (
    MissingParameter,
    ParametersError,
    ParameterValidationError,
)
from openapi_core.validation.request.validators import V31RequestValidator
from openapi_core.validation.response.validators import V31ResponseValidator

from openapi_runtime import plans

_UNKNOWN: Any = object()


class Decisions:
    """How often a plan accepted, and how often openapi-core had to decide."""

    def __init__(self) -> None:
        self.fast = 0
        self.slow = 0


class _FindByTable:
    """Our requests carry a path, not a URL to be joined and taken apart again."""

    def _find_path(self: Any, request: Any) -> Any:
        if not request.host_url:
            return self.path_finder.find(request.method, request.path)
        return super()._find_path(request)  # type: ignore[misc]  # of the validator mixed with


class LeanRequestValidator(_FindByTable, V31RequestValidator):
    """Stock control flow without two empty schemas that are built as defaults per request."""

    def _get_parameters(self, parameters: Any, operation: Any, path: Any) -> Parameters:
        errors: list[Exception] = []
        seen: set[tuple[str, str]] = set()
        validated = Parameters()
        for owner in (operation, path):
            for parameter in (owner / "parameters") if "parameters" in owner else ():
                key = ((parameter / "name").read_str(), (parameter / "in").read_str())
                if key in seen:
                    continue
                seen.add(key)
                try:
                    value = self._get_parameter(parameters, parameter)
                except MissingParameter:
                    continue
                except ParameterValidationError as error:
                    errors.append(error)
                    continue
                getattr(validated, key[1])[key[0]] = value
        if errors:
            raise ParametersError(errors=errors, parameters=validated)
        return validated


class LeanResponseValidator(_FindByTable, V31ResponseValidator):
    """Stock control flow."""


class CompiledRequestValidator(LeanRequestValidator):
    """Accepts by plan; `request.accepted` then holds the parameters and the decoded body."""

    decisions: Decisions
    kept: dict[Any, plans.RequestPlan | None]

    def iter_errors(self, request: Any) -> Iterator[Exception]:
        """Yield what is wrong with a request; nothing when it satisfies the contract."""
        try:
            if self._accept(request):
                self.decisions.fast += 1
                return iter(())
        except Exception:  # noqa: BLE001, S110  # any doubt: openapi-core decides, and is counted
            pass
        self.decisions.slow += 1
        return super().iter_errors(request)

    def plan_of(self, path: Any, operation: Any) -> plans.RequestPlan | None:
        """Return the plan of an operation, or None where there can be none."""
        plan = self.kept.get(operation.parts, _UNKNOWN)
        if plan is _UNKNOWN:
            try:
                plan = plans.plan_request(self, path, operation)
            except plans.NotPlannable:
                plan = None
            self.kept[operation.parts] = plan
        return plan  # type: ignore[no-any-return]

    def _accept(self, request: Any) -> bool:
        found = self._find_path(request)
        plan = self.plan_of(found.path, found.operation)
        if plan is None:
            return False
        if not request.parameters.path:
            request.parameters.path = found.path_result.variables
        if plan.security and not any(
            _has_credentials(schemes, request.parameters) for schemes in plan.security
        ):
            return False
        parameters = plans.accept_parameters(plan, request.parameters)
        if parameters is None:
            return False
        body = None
        if plan.bodies is not None:
            if request.body:
                media = plans.media_type_of(request.content_type, plan.bodies)
                if media is None or media.decode is None or media.is_valid is None:
                    return False
                body = media.decode(request.body)
                if not media.is_valid(body):
                    return False
            elif plan.body_required:
                return False
        request.accepted = (parameters, body)
        return True


class CompiledResponseValidator(LeanResponseValidator):
    """Accepts by plan."""

    decisions: Decisions
    kept: dict[Any, plans.ResponsePlan | None]

    def iter_errors(self, request: Any, response: Any) -> Iterator[Exception]:
        """Yield what is wrong with a response; nothing when it satisfies the contract."""
        try:
            if self._accept(request, response):
                self.decisions.fast += 1
                return iter(())
        except Exception:  # noqa: BLE001, S110  # any doubt: openapi-core decides, and is counted
            pass
        self.decisions.slow += 1
        return super().iter_errors(request, response)

    def plan_of(self, operation: Any, status: int) -> plans.ResponsePlan | None:
        """Return the plan of a response, or None where there can be none."""
        key = (operation.parts, status)
        plan = self.kept.get(key, _UNKNOWN)
        if plan is _UNKNOWN:
            try:
                plan = plans.plan_response(self, operation, status)
            except plans.NotPlannable:
                plan = None
            self.kept[key] = plan
        return plan  # type: ignore[no-any-return]

    def _accept(self, request: Any, response: Any) -> bool:
        plan = self.plan_of(self._find_path(request).operation, response.status_code)
        if plan is None:
            return False
        if plan.bodies is not None:
            media = plans.media_type_of(response.content_type, plan.bodies)
            if media is None or not response.data:
                return False
            if media.decode is not None and media.is_valid is not None:
                if not media.is_valid(media.decode(response.data)):
                    return False
        for header in plan.headers:
            value = header.value_of(response.headers)
            if value is plans.MISSING:
                if header.required:
                    return False
            elif not header.is_valid(value):
                return False
        return True


def _has_credentials(schemes: list[Any], parameters: Any) -> bool:
    try:
        for provider in schemes:
            provider(parameters)
    except Exception:  # noqa: BLE001  # openapi-core has several classes for "not there"
        return False
    return True
