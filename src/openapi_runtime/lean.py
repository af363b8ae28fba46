"""The "lean" mode: openapi-core's control flow, spared what it computes anew for every request.

It is the switchable reference of the compiled mode, and what that mode falls back to.
"""

from typing import Any

from openapi_core.datatypes import Parameters
from openapi_core.exceptions import OpenAPIError
from openapi_core.validation.request.exceptions import (
    MissingParameter,
    ParametersError,
    ParameterValidationError,
)
from openapi_core.validation.request.validators import V31RequestValidator
from openapi_core.validation.response.validators import V31ResponseValidator


class FindByTable:
    """Our requests carry a path, not a URL to be joined and taken apart again."""

    def _find_path(self: Any, request: Any) -> Any:
        if not request.host_url:
            if request.found is None:  # its response asks again
                request.found = self.path_finder.find(request.method, request.path)
            return request.found
        return super()._find_path(request)  # type: ignore[misc]  # of the validator mixed with


class LeanRequestValidator(FindByTable, V31RequestValidator):
    """Stock control flow without two empty schemas that are built as defaults per request."""

    def _get_parameters(self, parameters: Any, operation: Any, path: Any) -> Parameters:
        errors: list[OpenAPIError] = []
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


class LeanResponseValidator(FindByTable, V31ResponseValidator):
    """Stock control flow."""
