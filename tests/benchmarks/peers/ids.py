"""Names for a peer's rows."""

import secrets
import time


def new_id(prefix: str) -> str:
    """Name a row so that new rows come last in the index."""
    return f"{prefix}_{time.time_ns():016x}{secrets.token_hex(6)}"
