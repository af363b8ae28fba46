"""A collector that is away, or takes connections and never answers, costs nothing but its spans."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.process import development, free_port

REQUESTS = 30
TRUTH_SECONDS = 10.0  # one request that waited for a time-out of the exporter would take this long
STOP_SECONDS = 25.0

pytestmark = [pytest.mark.slow]


@pytest.fixture
def black_hole() -> Iterator[str]:
    """Take connections, read, and never answer."""
    stop = threading.Event()
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.2)
    taken: list[socket.socket] = []

    def swallow() -> None:
        while not stop.is_set():
            try:
                taken.append(server.accept()[0])
            except TimeoutError:
                continue

    thread = threading.Thread(target=swallow)
    thread.start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}"
    stop.set()
    thread.join()
    for connection in [*taken, server]:
        connection.close()


@pytest.fixture(params=["refuses", "hangs"])
def collector(request: pytest.FixtureRequest) -> str:
    if request.param == "hangs":
        return str(request.getfixturevalue("black_hole"))
    return f"http://127.0.0.1:{free_port()}"


def test_a_dead_collector_slows_nothing_and_stops_nothing(collector: str, tmp_path: Path) -> None:
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector,
        "OTEL_TRACES_SAMPLER": "parentbased_always_on",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "PAYMENTS_LOG_LEVEL": "INFO",
    }
    with development(tmp_path, environ) as running:
        slowest = 0.0
        for _ in range(REQUESTS):
            started = time.monotonic()
            assert running.call("GET", "/v1/payments").status_code == 200
            slowest = max(slowest, time.monotonic() - started)
        ready = httpx.get(f"{running.ops_url}/readyz", timeout=10, trust_env=False)
        started = time.monotonic()
        code = running.stop()
        stopping = time.monotonic() - started

    lines = [line for line in (tmp_path / "dev.log").read_text().splitlines() if line[:1] == "{"]
    complaints = [line for line in lines if "opentelemetry" in json.loads(line)["logger"]]
    assert (ready.status_code, code) == (200, 0)
    assert slowest < TRUTH_SECONDS
    assert stopping < STOP_SECONDS
    assert 0 < len(complaints) < 15, "told, and not told again and again"
    assert any('"trace_id"' in line for line in lines), "requests were traced all the same"
