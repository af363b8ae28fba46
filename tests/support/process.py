"""The service as processes of its own, on free ports of this machine."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import jwt

START_SECONDS = 90  # on a busy machine
STOP_SECONDS = 30
AUTH_SECRET = "a-secret-for-tests-of-at-least-32-bytes"


def free_port() -> int:
    """Find a port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Any, *, seconds: float = 20, what: str) -> Any:
    """Ask until the answer is truthy; fail when the time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds} seconds")


class Development:
    """A running `payment-service dev`."""

    def __init__(self, folder: Path, environ: Mapping[str, str] | None = None) -> None:
        self.port, self.ops_port, self.simulator_port = (free_port() for _ in range(3))
        self.url = f"http://127.0.0.1:{self.port}"
        self.ops_url = f"http://127.0.0.1:{self.ops_port}"
        self.simulator_url = f"http://127.0.0.1:{self.simulator_port}"
        self._folder = folder
        self._environ = {
            **os.environ,
            "PAYMENTS_AUTH_SECRET": AUTH_SECRET,
            "PAYMENTS_PORT": str(self.port),
            "PAYMENTS_OPS_PORT": str(self.ops_port),
            "PAYOS_SIMULATOR_PORT": str(self.simulator_port),
            "STRIPE_SIMULATOR_PORT": str(self.simulator_port),
            **(environ or {}),
        }
        self.process: subprocess.Popen[str] | None = None
        self.token = ""
        self.welcome = ""

    def start(self) -> None:
        """Start, and wait until it is ready."""
        with (self._folder / "dev.log").open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "payment_service", "dev"],
                cwd=self._folder, env=self._environ, stdout=log, stderr=log, text=True,
            )  # fmt: skip
        wait_until(self._is_ready, seconds=START_SECONDS, what="the service is ready")
        self.welcome = (self._folder / "dev.log").read_text()
        found = re.search(r"TOKEN=(\S+)", self.welcome)
        assert found is not None, self.welcome
        self.token = found.group(1)

    def stop(self, number: int = signal.SIGINT) -> int:
        """Stop as Ctrl-C does; return the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS)

    def call(self, method: str, path: str, body: Any = None, key: str = "") -> httpx.Response:
        """Call the API."""
        headers = {"Authorization": f"Bearer {self.token}"}
        if method == "POST":
            headers["Idempotency-Key"] = key or f"key-{time.time_ns()}"
        return httpx.request(
            method, self.url + path, json=body, headers=headers, timeout=20, trust_env=False
        )

    def weak_token(self) -> str:
        """Make a token of the same tenant without any right."""
        return self._token_like({"scope": ""})

    def strange_token(self) -> str:
        """Make a token of another tenant with the same rights."""
        return self._token_like({"tenant_id": "stranger", "sub": "stranger"})

    def _token_like(self, changes: dict[str, str]) -> str:
        claims = jwt.decode(self.token, options={"verify_signature": False})
        return jwt.encode(claims | changes, AUTH_SECRET, algorithm="HS256")

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self._folder / "dev.log").read_text()
        try:
            ready = httpx.get(f"{self.ops_url}/readyz", timeout=2, trust_env=False)
            healthy = httpx.get(f"{self.url}/v1/health", timeout=2, trust_env=False)
        except httpx.HTTPError:
            return False
        return ready.status_code == healthy.status_code == 200


@contextmanager
def development(folder: Path, environ: Mapping[str, str] | None = None) -> Iterator[Development]:
    """Run `payment-service dev` for a while."""
    running = Development(folder, environ)
    try:
        running.start()
        yield running
    finally:
        if running.process is not None and running.process.poll() is None:
            running.stop()
