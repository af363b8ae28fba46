"""The STRIPE_* settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from payment_service.domain.errors import InvalidSettings

PRODUCTION_URL = "https://api.stripe.com"
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_KEYS = ("sk_test_", "sk_live_", "rk_test_", "rk_live_")  # secret, and secret with fewer rights
_WEBHOOK_SECRETS = ("whsec_",)


@dataclass(frozen=True, slots=True)
class StripeSettings:
    """How to reach Stripe, and how to know what comes from it."""

    base_url: str
    secret_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    previous_webhook_secret: str | None = field(default=None, repr=False)  # while secrets rotate

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        """The secrets that sign what we receive."""
        previous = self.previous_webhook_secret
        return (self.webhook_secret, previous) if previous else (self.webhook_secret,)

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "StripeSettings":
        """Read the environment.

        Raises:
            InvalidSettings: One message per fault.
        """
        faults: list[str] = []
        base_url = environment.get("STRIPE_BASE_URL") or PRODUCTION_URL
        _check_url(base_url, faults)
        secret_key = _secret(environment, "STRIPE_SECRET_KEY", _KEYS, faults)
        webhook_secret = _secret(environment, "STRIPE_WEBHOOK_SECRET", _WEBHOOK_SECRETS, faults)
        previous = None
        if environment.get("STRIPE_WEBHOOK_SECRET_PREVIOUS"):
            name = "STRIPE_WEBHOOK_SECRET_PREVIOUS"
            previous = _secret(environment, name, _WEBHOOK_SECRETS, faults)
        if faults:
            raise InvalidSettings(faults)
        return cls(base_url.rstrip("/"), secret_key, webhook_secret, previous)


def _secret(
    environment: Mapping[str, str], name: str, prefixes: tuple[str, ...], faults: list[str]
) -> str:
    value = environment.get(name, "")
    if not value:
        faults.append(f"{name} is required")
    elif not value.startswith(prefixes):
        # The commonest mistake is the publishable key, which begins with pk_ and may do nothing.
        faults.append(f"{name} must start with {' or '.join(prefixes)}")
    elif not value.isascii() or not value.isprintable() or " " in value:
        faults.append(f"{name} must be printable ASCII without spaces")
    return value


def _check_url(url: str, faults: list[str]) -> None:
    parts = urlsplit(url)
    local = parts.hostname in _LOOPBACK
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        faults.append("STRIPE_BASE_URL must start with https:// (http:// for this machine only)")
    if parts.path not in {"", "/"} or parts.query:
        faults.append("STRIPE_BASE_URL must be an origin, without a path")
