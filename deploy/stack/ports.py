"""Free loopback ports that stay ours while their server is down."""

import random
import socket

LOOPBACK = "127.0.0.1"
# Below the range that the kernel hands out to clients (32768-60999 on Linux). In that range a
# stopped server's port may be taken by any outgoing connection; worse, a client that keeps trying
# to reconnect may be given that very port as its own and then connects to itself.
FIRST, LAST = 15_000, 31_999
ATTEMPTS = 100


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on at this moment.

    Raises:
        OSError: none was found, which takes a machine without free ports.
    """
    choice = random.SystemRandom()
    for _ in range(ATTEMPTS):
        port = choice.randint(FIRST, LAST)
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port between {FIRST} and {LAST} in {ATTEMPTS} attempts")
