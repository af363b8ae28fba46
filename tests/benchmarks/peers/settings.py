"""What a peer is told by its environment."""

import os
from typing import Any

from sqlalchemy import make_url

CHECKSUM_KEY = os.environ["PAYOS_CHECKSUM_KEY"]
DATABASE_URL = os.environ.get("DATABASE_URL", "")
CONNECTIONS = 32  # as many as callers: with fewer, asyncmy's pool lets some of them starve
READ_COMMITTED = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"


def asyncmy_options() -> dict[str, Any]:
    """Say how the raw driver connects: prepared statements, and no locks on gaps."""
    url = make_url(DATABASE_URL)
    return {
        "host": url.host,
        "port": url.port,
        "user": url.username,
        "password": url.password,
        "db": url.database,
        "charset": "utf8mb4",
        "init_command": READ_COMMITTED,
        "stmt_cache_size": 128,
    }
