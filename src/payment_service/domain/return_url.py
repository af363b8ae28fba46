"""Where a payer's browser may be sent afterwards. We never fetch these addresses ourselves.

The contract has settled which characters there can be: no user, no backslash, no space, no control
character, nothing but ASCII in the host. Here it is settled whose hosts: names on the public
internet over HTTPS, or exactly what the operator lists for a tenant.
Source: WHATWG URL, section 3.5: a last label that is a number makes the host an IPv4 address.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

_LOOPBACK = frozenset({"127.0.0.1", "localhost"})
_LABEL_LENGTH_MAX = 63


class ReturnUrls:
    """What the operator allows.

    Args:
        hosts: Per tenant the hosts, with a port if it is not 443, that it may use; a tenant that
            is not listed may use any host name.
        allow_loopback: This machine, over HTTP too; for development.
    """

    def __init__(
        self, hosts: Mapping[str, frozenset[str]] | None = None, *, allow_loopback: bool = False
    ) -> None:
        self._hosts = hosts or {}
        self._allow_loopback = allow_loopback

    def find_fault(self, tenant_id: str, url: str) -> str | None:
        """Say what is wrong with an address that satisfies the contract, or return None."""
        parts = urlsplit(url)
        host = parts.netloc.lower()
        if self._allow_loopback and host.partition(":")[0] in _LOOPBACK:
            return None
        if parts.scheme != "https":
            return "must start with https://"
        if tenant_id in self._hosts:
            return None if host in self._hosts[tenant_id] else "is not a host of this tenant"
        return _fault_of_host(host)


def _fault_of_host(host: str) -> str | None:
    labels = host.split(".")
    if ":" in host:
        return "must not name a port"
    if len(labels) == 1 or labels[-1] == "localhost":
        return "must name a host on the internet"
    if not all(_is_label(label) for label in labels):
        return "must name a host"
    if labels[-1][0].isdigit():
        return "must not be an IP address"
    if any(label.startswith("xn--") for label in labels):
        return "must name a host in ASCII"  # those who need one have it listed
    return None


def _is_label(label: str) -> bool:
    is_proper = label.strip("-") == label and label.replace("-", "a").isalnum()
    return is_proper and label.isascii() and len(label) <= _LABEL_LENGTH_MAX
