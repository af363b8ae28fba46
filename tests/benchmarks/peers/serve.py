"""How a peer is served: as uvicorn's documentation says for production, without an access log."""

import gc
import os
from typing import Any

import uvicorn


def serve(app: Any) -> None:
    """Serve on the port of the environment until told to end."""
    gc.collect()
    gc.freeze()  # as the service does
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_level="warning",
        server_header=False,
        backlog=2048,
        timeout_keep_alive=30,
    )
