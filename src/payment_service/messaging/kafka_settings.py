"""Reads a Kafka URL: servers, credentials and the few options that differ between clusters.

    kafka://[user:password@]host:port[,host:port...][?option=value&...]

User and password are percent-encoded. Everything else is decided in the code, not by options.
"""

import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

SCHEME = "kafka://"
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
PARTITIONS_MAX = 1000
REPLICATION_FACTOR_MAX = 9
SESSION_TIMEOUT_MS = (1_000, 300_000)  # brokers accept no less than 6 s unless told otherwise

_SERVER = re.compile(r"(?:\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """How to reach Kafka.

    Attributes:
        bootstrap_servers: `host:port`, separated by commas.
        partitions: Of topics that we create.
        replication_factor: Of topics that we create.
        session_timeout_ms: After which a consumer that is silent is given up for dead.
        security_protocol: One of `PROTOCOLS`.
        sasl_mechanism: One of `MECHANISMS`; used with SASL only.
        ssl_cafile: Certificates to trust instead of the system's.
    """

    bootstrap_servers: str
    partitions: int = 6
    replication_factor: int = 1
    session_timeout_ms: int = 15_000
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = "SCRAM-SHA-512"
    ssl_cafile: str | None = None
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> "KafkaSettings":
        """Read a URL.

        Raises:
            ValueError: It is not one; the message names the fault and never a credential.
        """
        if not url.startswith(SCHEME):
            raise ValueError(f"a Kafka URL starts with {SCHEME}")
        authority, _, query = url.removeprefix(SCHEME).partition("?")
        credentials, _, servers = authority.rpartition("@")
        user, _, password = credentials.partition(":")
        options = _options(query)
        protocol = options.setdefault(
            "security_protocol", "SASL_SSL" if credentials else "PLAINTEXT"
        )
        if protocol.startswith("SASL") != bool(user and password):
            raise ValueError("a Kafka URL has user:password with SASL, and only then")
        return cls(
            bootstrap_servers=_servers(servers),
            username=unquote(user),
            password=unquote(password),
            **options,
        )

    def client_options(self) -> dict[str, Any]:
        """Return the arguments that every client of aiokafka takes.

        Raises:
            OSError: The file of certificates cannot be read.
        """
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers,
            "security_protocol": self.security_protocol,
        }
        if self.security_protocol.endswith("SSL"):
            options["ssl_context"] = ssl.create_default_context(cafile=self.ssl_cafile)
        if self.security_protocol.startswith("SASL"):
            options["sasl_mechanism"] = self.sasl_mechanism
            options["sasl_plain_username"] = self.username
            options["sasl_plain_password"] = self.password
        return options


def _servers(text: str) -> str:
    servers = text.removesuffix("/").split(",")
    for server in servers:
        match = _SERVER.fullmatch(server)
        if match is None or not 0 < int(match[1]) < 2**16:
            raise ValueError("a Kafka URL names its servers as host:port,host:port")
    return ",".join(servers)


def _options(query: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name not in _READERS:
            raise ValueError(f"a Kafka URL has no option {name!r}, but {', '.join(_READERS)}")
        if name in options:
            raise ValueError(f"the Kafka option {name} is given twice")
        options[name] = _READERS[name](name, text)
    return options


def _one_of(choices: tuple[str, ...]) -> Callable[[str, str], str]:
    def read(name: str, text: str) -> str:
        if text not in choices:
            raise ValueError(f"the Kafka option {name} is one of {', '.join(choices)}")
        return text

    return read


def _between(low: int, high: int) -> Callable[[str, str], int]:
    def read(name: str, text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise ValueError(f"the Kafka option {name} is a number from {low} to {high}")
        return int(text)

    return read


def _file(name: str, text: str) -> str:
    if not Path(text).is_file():
        raise ValueError(f"the Kafka option {name} names no file")
    return text


_READERS: dict[str, Callable[[str, str], Any]] = {
    "security_protocol": _one_of(PROTOCOLS),
    "sasl_mechanism": _one_of(MECHANISMS),
    "ssl_cafile": _file,
    "partitions": _between(1, PARTITIONS_MAX),
    "replication_factor": _between(1, REPLICATION_FACTOR_MAX),
    "session_timeout_ms": _between(*SESSION_TIMEOUT_MS),
}
