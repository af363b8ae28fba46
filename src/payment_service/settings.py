"""Every setting of the service, read once from the environment.

A value that is missing or wrong stops the start; all faults are told at once, without the values.
A secret NAME may also be given as a file, NAME_FILE.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from payment_service.domain.errors import InvalidSettings

Network = IPv4Network | IPv6Network

DEFAULT_PROVIDER = "payos"
SECRET_LENGTH_MIN = 32  # bytes; RFC 7518 section 3.2 for HS256
PORT_MAX = 65535
NUMBER_DIGITS_MAX = 9
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class SecretsProvider(Protocol):
    """Where secrets are kept. A vault is one more class with this method."""

    def fill_in(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the environment with every secret that it points to in its place.

        Raises:
            InvalidSettings: A secret cannot be had; one message for each, without values.
        """


class MountedFiles:
    """Secrets in files, as orchestrators mount them: NAME_FILE names the file of NAME."""

    def fill_in(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Read the files."""
        values = dict(environ)
        prefixes = ("PAYMENTS_", f"{values.get('PAYMENTS_PROVIDER', DEFAULT_PROVIDER).upper()}_")
        faults = []
        for name, path in environ.items():
            target = name.removesuffix("_FILE")
            if target == name or not target.startswith(prefixes):
                continue
            try:
                values[target] = Path(path).read_text().strip()
            except (OSError, UnicodeDecodeError):
                faults.append(f"{name} names a file that cannot be read")
        if faults:
            raise InvalidSettings(faults)
        return values


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthSettings:
    """How to recognise callers: by a shared secret, or by the keys at a JWKS address."""

    secret: str | None = field(repr=False)
    jwks_url: str | None
    issuer: str
    audience: str
    lifetime_hours: int  # of a token, at most


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorSettings:
    """Who may come from where, how often, and where payers may be sent."""

    trusted_proxies: tuple[Network, ...]
    webhook_sources: tuple[Network, ...]  # empty is anywhere
    return_hosts: Mapping[str, frozenset[str]]  # per tenant
    requests_per_minute: int  # of a tenant, in one process; 0 is any number


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The service's settings. Those of the provider are read by the provider."""

    database_url: str = field(repr=False)
    broker_url: str = field(repr=False)
    data_keys: str = field(repr=False)  # that people's data are sealed with, the first writes
    provider: str
    public_url: str
    host: str
    port: int
    ops_host: str
    ops_port: int
    ops_token: str | None = field(repr=False)  # opens the operators' console; None: there is none
    auth: AuthSettings
    doors: DoorSettings
    contract_mode: str
    log_level: str
    environment: Mapping[str, str] = field(repr=False)  # for the provider

    def addresses(self, *, is_api: bool) -> dict[str, tuple[str, int]]:
        """Tell where a process listens, by the setting that chooses it."""
        operators = {"PAYMENTS_OPS_PORT": (self.ops_host, self.ops_port)}
        return operators | ({"PAYMENTS_PORT": (self.host, self.port)} if is_api else {})

    @classmethod
    def read(cls, environ: Mapping[str, str], secrets: SecretsProvider | None = None) -> "Settings":
        """Read the environment, with the secrets that it only points to.

        Raises:
            InvalidSettings: One message per fault.
        """
        reader = _Reader((secrets or MountedFiles()).fill_in(environ))
        settings = cls(
            database_url=reader.database_url(),
            broker_url=reader.broker_url(),
            data_keys=reader.required("PAYMENTS_DATA_KEYS"),
            provider=reader.text("PAYMENTS_PROVIDER", DEFAULT_PROVIDER),
            public_url=reader.url("PAYMENTS_PUBLIC_URL", "http://127.0.0.1:8000"),
            host=reader.text("PAYMENTS_HOST", "127.0.0.1"),
            port=reader.port("PAYMENTS_PORT", 8000),
            ops_host=reader.text("PAYMENTS_OPS_HOST", "127.0.0.1"),
            ops_port=reader.port("PAYMENTS_OPS_PORT", 9000),
            ops_token=reader.secret("PAYMENTS_OPS_TOKEN"),
            auth=reader.auth(),
            doors=reader.doors(),
            contract_mode=reader.choice("PAYMENTS_CONTRACT_MODE", ("compiled", "lean")),
            log_level=reader.choice("PAYMENTS_LOG_LEVEL", ("INFO", "DEBUG", "WARNING", "ERROR")),
            environment=reader.values,
        )
        if reader.faults:
            raise InvalidSettings(reader.faults)
        return settings


class _Reader:
    """Reads values and collects faults."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = values
        self.faults: list[str] = []

    def text(self, name: str, default: str = "") -> str:
        return self.values.get(name) or default

    def secret(self, name: str) -> str | None:
        value = self.values.get(name) or None
        if value is not None and len(value.encode()) < SECRET_LENGTH_MIN:
            self.faults.append(f"{name} needs {SECRET_LENGTH_MIN} bytes or more")
        return value

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        value = self.text(name, choices[0])
        if value not in choices:
            self.faults.append(f"{name} must be one of: {', '.join(choices)}")
        return value

    def port(self, name: str, default: int) -> int:
        value = self.text(name, str(default))
        if not value.isdigit() or not 0 <= int(value) <= PORT_MAX:
            self.faults.append(f"{name} must be a port number")
            return default
        return int(value)

    def whole(self, name: str, default: int, *, at_least: int) -> int:
        value = self.text(name, str(default))
        if not (value.isascii() and value.isdigit()) or len(value) > NUMBER_DIGITS_MAX:
            self.faults.append(f"{name} must be a whole number")
            return default
        if int(value) < at_least:
            self.faults.append(f"{name} must be {at_least} or more")
        return int(value)

    def url(self, name: str, default: str) -> str:
        value = self.text(name, default)
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            self.faults.append(f"{name} must start with http:// or https://")
        return value.rstrip("/")

    def database_url(self) -> str:
        value = self.text("PAYMENTS_DATABASE_URL", "sqlite+aiosqlite:///var/payments.db")
        if not value.startswith(("sqlite+aiosqlite://", "mysql+asyncmy://", "mariadb+asyncmy://")):
            self.faults.append(
                "PAYMENTS_DATABASE_URL must start with mysql+asyncmy:// or sqlite+aiosqlite://"
            )
        return value

    def broker_url(self) -> str:
        value = self.text("PAYMENTS_BROKER_URL", "memory://")
        if value != "memory://" and not value.startswith("kafka://"):
            self.faults.append("PAYMENTS_BROKER_URL must be memory:// or start with kafka://")
        return value

    def auth(self) -> AuthSettings:
        secret = self.secret("PAYMENTS_AUTH_SECRET")
        jwks_url = self.values.get("PAYMENTS_AUTH_JWKS_URL") or None
        if (secret is None) == (jwks_url is None):
            self.faults.append("set PAYMENTS_AUTH_SECRET or PAYMENTS_AUTH_JWKS_URL, one of them")
        if jwks_url is not None and not _is_private_or_secure(jwks_url):
            self.faults.append("PAYMENTS_AUTH_JWKS_URL must start with https://")
        issuer, audience = map(self.required, ("PAYMENTS_AUTH_ISSUER", "PAYMENTS_AUTH_AUDIENCE"))
        return AuthSettings(
            secret=secret,
            jwks_url=jwks_url,
            issuer=issuer,
            audience=audience,
            lifetime_hours=self.whole("PAYMENTS_AUTH_LIFETIME_HOURS", 24, at_least=1),
        )

    def doors(self) -> DoorSettings:
        return DoorSettings(
            trusted_proxies=self.networks("PAYMENTS_TRUSTED_PROXIES"),
            webhook_sources=self.networks("PAYMENTS_WEBHOOK_SOURCES"),
            return_hosts=self.hosts("PAYMENTS_RETURN_HOSTS"),
            requests_per_minute=self.whole("PAYMENTS_REQUESTS_PER_MINUTE", 0, at_least=0),
        )

    def networks(self, name: str) -> tuple[Network, ...]:
        found = []
        for text in self.text(name).replace(",", " ").split():
            try:
                found.append(ip_network(text))
            except ValueError:
                self.faults.append(f"{name} must list networks, such as 10.0.0.0/8")
        return tuple(found)

    def hosts(self, name: str) -> dict[str, frozenset[str]]:
        """Read `shop=shop.example,pay.shop.example:8443; cafe=cafe.example`."""
        found = {}
        for entry in filter(None, map(str.strip, self.text(name).split(";"))):
            tenant, _, listed = entry.partition("=")
            hosts = frozenset(listed.lower().replace(",", " ").split())
            if not tenant.strip() or not hosts:
                self.faults.append(f"{name} must be like: tenant=host,host; tenant=host")
            found[tenant.strip()] = hosts
        return found

    def required(self, name: str) -> str:
        value = self.text(name)
        if not value:
            self.faults.append(f"{name} is required")
        return value


def _is_private_or_secure(url: str) -> bool:
    """Tell whether nobody on the way can change what an address answers."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
