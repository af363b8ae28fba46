"""Finds out before the start that a port is taken, and says which setting chooses another."""

import errno
import socket
from collections.abc import Mapping

from payment_service.domain.errors import InvalidSettings


def require_free(addresses: Mapping[str, tuple[str, int]]) -> None:
    """Return if nobody listens at any of the addresses, which go by the setting that names each.

    Raises:
        InvalidSettings: One message for each that is taken.
    """
    faults = [
        f"{name}: port {port} of {host} is in use; stop what listens there, or set another port"
        for name, (host, port) in addresses.items()
        if _is_taken(host, port)
    ]
    if faults:
        raise InvalidSettings(faults)


def _is_taken(host: str, port: int) -> bool:
    """Try it as the server will. Any other trouble is told by the server, when it starts."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    return False
