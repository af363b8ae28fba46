"""The PAYOS_* settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from payment_service.domain.errors import InvalidSettings

PRODUCTION_URL = "https://api-merchant.payos.vn"
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Credentials:
    """The three keys of a channel. The checksum key never travels."""

    client_id: str
    api_key: str = field(repr=False)
    checksum_key: str = field(repr=False)
    previous_checksum_key: str | None = field(default=None, repr=False)  # while keys rotate

    @property
    def checksum_keys(self) -> tuple[str, ...]:
        """The keys that sign what we receive."""
        previous = self.previous_checksum_key
        return (self.checksum_key, previous) if previous else (self.checksum_key,)


@dataclass(frozen=True, slots=True)
class PayOSSettings:
    """How to reach payOS; `payout` is None where refunds are not set up."""

    base_url: str
    payment: Credentials
    payout: Credentials | None

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "PayOSSettings":
        """Read the environment.

        Raises:
            InvalidSettings: One message per fault.
        """
        faults: list[str] = []
        base_url = environment.get("PAYOS_BASE_URL") or PRODUCTION_URL
        _check_url(base_url, faults)
        payment = _credentials(environment, "PAYOS_", faults)
        payout = None
        if any(environment.get(f"PAYOS_PAYOUT_{name}") for name in _NAMES):
            payout = _credentials(environment, "PAYOS_PAYOUT_", faults)
        if faults:
            raise InvalidSettings(faults)
        return cls(base_url.rstrip("/"), payment, payout)


_NAMES = ("CLIENT_ID", "API_KEY", "CHECKSUM_KEY")


def _credentials(environment: Mapping[str, str], prefix: str, faults: list[str]) -> Credentials:
    values: dict[str, str] = {}
    for name in _NAMES:
        value = environment.get(prefix + name, "")
        if not value:
            faults.append(f"{prefix}{name} is required")
        elif not value.isascii() or not value.isprintable() or value != value.strip():
            faults.append(f"{prefix}{name} must be printable ASCII without spaces around it")
        values[name] = value
    return Credentials(
        client_id=values["CLIENT_ID"],
        api_key=values["API_KEY"],
        checksum_key=values["CHECKSUM_KEY"],
        previous_checksum_key=environment.get(f"{prefix}CHECKSUM_KEY_PREVIOUS") or None,
    )


def _check_url(url: str, faults: list[str]) -> None:
    parts = urlsplit(url)
    local = parts.hostname in _LOOPBACK
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        faults.append("PAYOS_BASE_URL must start with https:// (http:// for this machine only)")
    if parts.path not in {"", "/"} or parts.query:
        faults.append("PAYOS_BASE_URL must be an origin, without a path")
