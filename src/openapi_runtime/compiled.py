"""The "compiled" mode: a plan may accept, everything else is openapi-core's own decision."""

from collections.abc import Iterator
from typing import Any

from openapi_runtime import plans
from openapi_runtime.lean import LeanRequestValidator, LeanResponseValidator


class Stats:
    """How the contract decided so far; plain numbers, for telemetry and tests.

    Attributes:
        fast: Accepted by a plan, or the same as what was.
        slow: Left to openapi-core, which refused or, in the other modes, accepted.
        crashed: openapi-core raised something that is no verdict; it counts as a refusal.
    """

    def __init__(self) -> None:
        self.fast = 0
        self.slow = 0
        self.crashed = 0


class CompiledRequestValidator(LeanRequestValidator):
    """Accepts by plan; `request.accepted` then holds the parameters and the decoded body."""

    stats: Stats
    kept: dict[Any, plans.RequestPlan]

    def iter_errors(self, request: Any) -> Iterator[Exception]:
        """Yield what is wrong with a request; nothing when it satisfies the contract."""
        try:
            if self._accept(request):
                self.stats.fast += 1
                return iter(())
        except Exception:  # noqa: BLE001, S110  # any doubt: openapi-core decides, and is counted
            pass
        return super().iter_errors(request)

    def plan_of(self, path: Any, operation: Any) -> plans.RequestPlan:
        """Return the plan of an operation.

        Raises:
            NotPlannable: There can be none.
        """
        plan = self.kept.get(operation.parts)
        if plan is None:
            plan = self.kept[operation.parts] = plans.plan_request(self, path, operation)
        return plan

    def _accept(self, request: Any) -> bool:
        found = self._find_path(request)
        plan = self.plan_of(found.path, found.operation)
        if not request.parameters.path:
            request.parameters.path = found.path_result.variables
        for provider in plan.security:
            provider(request.parameters)  # openapi-core's own; raises without credentials
        parameters = plans.accept_parameters(plan, request.parameters)
        if parameters is None:
            return False
        body = None
        if plan.bodies is not None and request.body:
            media = plan.bodies[request.content_type]
            if media.decode is None or media.is_valid is None:
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

    stats: Stats
    kept: dict[Any, plans.ResponsePlan]

    def iter_errors(self, request: Any, response: Any) -> Iterator[Exception]:
        """Yield what is wrong with a response; nothing when it satisfies the contract."""
        try:
            if self._accept(request, response):
                self.stats.fast += 1
                return iter(())
        except Exception:  # noqa: BLE001, S110  # any doubt: openapi-core decides, and is counted
            pass
        return super().iter_errors(request, response)

    def plan_of(self, operation: Any, status: int) -> plans.ResponsePlan:
        """Return the plan of a response.

        Raises:
            NotPlannable: There can be none.
        """
        key = (operation.parts, status)
        plan = self.kept.get(key)
        if plan is None:
            plan = self.kept[key] = plans.plan_response(self, operation, status)
        return plan

    def _accept(self, request: Any, response: Any) -> bool:
        plan = self.plan_of(self._find_path(request).operation, response.status_code)
        if plan.bodies is not None:
            media = plan.bodies.get(response.content_type)
            if media is None or not response.data:
                return False
            if media.is_valid is not None and media.decode is not None:
                document = media.decode(response.data)
                if not media.is_valid(document):
                    return False
        for header in plan.headers:
            value = header.value_of(response.headers)
            if value is plans.MISSING:
                if header.required:
                    return False
            elif not header.is_valid(value):
                return False
        return True
