"""Where a request comes from, told by whom we trust.

Whoever connects can write any X-Forwarded-For. It is read from its end, and only as far as the
addresses are those of our own proxies: the first other one is the source.
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from openapi_runtime.operations import Context

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
_V6_SITE_BITS = 64  # what one subscriber has to himself
_UNKNOWN = ip_address(0)  # of a connection without an address
_ADDRESS_LENGTH_MAX = 64  # characters; the longest are 45, and have a zone
_REMEMBERED_MAX = 1024


class Sources:
    """Finds the source of requests.

    Args:
        proxies: Our own, whose X-Forwarded-For is believed.
    """

    def __init__(self, proxies: Sequence[Network] = ()) -> None:
        self._proxies = proxies

    def source_of(self, context: Context) -> Address:
        """Find the address that a request comes from."""
        source = _read(context.client_host) or _UNKNOWN
        forwarded = [
            name.strip()
            for header, value in context.headers.raw
            if header.lower() == b"x-forwarded-for"
            for name in value.decode("latin-1").split(",")
        ]
        while forwarded and is_within(source, self._proxies):
            before = _read(forwarded.pop())
            if before is None:
                break
            source = before
        return source


def is_within(address: Address, networks: Sequence[Network]) -> bool:
    """Tell whether an address belongs to one of some networks."""
    return any(address in network for network in networks)


@lru_cache(maxsize=_REMEMBERED_MAX)
def site_of(address: Address) -> str:
    """Name what one sender has to himself: an IPv4 address, or a /64 of IPv6."""
    if isinstance(address, IPv4Address):
        return str(address)
    return str(ip_network((address, _V6_SITE_BITS), strict=False))


def _read(text: str) -> Address | None:
    return _read_short(text) if len(text) <= _ADDRESS_LENGTH_MAX else None


@lru_cache(maxsize=_REMEMBERED_MAX)
def _read_short(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
