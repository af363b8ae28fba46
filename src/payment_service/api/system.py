"""Handlers about the service itself."""

from generated.api import models as contract, routes
from openapi_runtime.operations import Context


class SystemHandlers:
    """Implements `SystemApi`."""

    def __init__(self, version: str) -> None:
        self._version = version

    async def get_health(self, context: Context, /) -> routes.GetHealthResult:
        """Give a sign of life."""
        health = contract.Health(status=contract.HealthStatus.OK, version=self._version)
        return routes.GetHealth200(body=health)
