"""Opens the provider that the settings name; anybody can add one as an entry point.

Group `payment_service.providers`; each entry names a `ProviderFactory`.
"""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from importlib.metadata import entry_points
from typing import Protocol

from payment_service.domain.errors import InvalidSettings
from payment_service.providers.notices import Notify
from payment_service.providers.provider import PaymentProvider

GROUP = "payment_service.providers"


class ProviderFactory(Protocol):
    """What the entry-point group names."""

    def __call__(
        self, environment: Mapping[str, str], notify: Notify
    ) -> AbstractAsyncContextManager[PaymentProvider]:
        """Open the provider with its own settings; `notify` is told how its calls go.

        Raises:
            InvalidSettings: One message per fault, all at once.
        """


def open_provider(
    name: str, environment: Mapping[str, str], notify: Notify
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
    return factory(environment, notify)
