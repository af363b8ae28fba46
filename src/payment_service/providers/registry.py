"""Opens the provider that the settings name; anybody can add one as an entry point.

Group `payment_service.providers`; each entry names a `ProviderFactory`.
"""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from importlib.metadata import entry_points

from payment_service.domain.errors import InvalidSettings
from payment_service.providers.provider import OnCall, PaymentProvider, ProviderFactory

GROUP = "payment_service.providers"


def open_provider(
    name: str, environment: Mapping[str, str], on_call: OnCall
) -> AbstractAsyncContextManager[PaymentProvider]:
    """Open a provider by name.

    Raises:
        InvalidSettings: There is no such provider, or its settings are wrong (when it is entered).
    """
    found = entry_points(group=GROUP)
    if name not in found.names:
        known = ", ".join(sorted(found.names))
        raise InvalidSettings([f"PAYMENTS_PROVIDER must be one of: {known}"])
    factory: ProviderFactory = found[name].load()
    return factory(environment, on_call)
