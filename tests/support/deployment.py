"""The service as it runs in production: one process a role, on MySQL and Kafka."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import confluent_kafka
import httpx
import jwt

from tests.support.process import AUTH_SECRET, free_port, wait_until
from tests.support.service import DATA_KEYS
from tests.support.simulator import Simulator

START_SECONDS = 150  # four processes that start side by side on a busy machine
STOP_SECONDS = 40
AUTH = {"PAYMENTS_AUTH_ISSUER": "tests", "PAYMENTS_AUTH_AUDIENCE": "payment-service"}
SCOPES = "payments:read payments:write refunds:write exceptions:write"


Launch = Callable[[Sequence[str], dict[str, str]], list[str]]
"""Gives the command line that runs `payment-service` with some arguments and environment."""


def from_source(arguments: Sequence[str], _environ: dict[str, str]) -> list[str]:
    """Run what is in the working tree."""
    return [sys.executable, "-m", "payment_service", *arguments]


class Role:
    """One process of the service."""

    def __init__(self, name: str, environ: Mapping[str, str], log: Path, launch: Launch) -> None:
        self.name = name
        self._launch = launch
        self.ops_port = free_port()
        self._environ = {**environ, "PAYMENTS_OPS_PORT": str(self.ops_port)}
        self._log = log
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._launch([self.name], self._environ),
                env=self._environ, stdout=log, stderr=log,
            )  # fmt: skip

    def restart(self) -> None:
        """Start again after a kill or a stop."""
        self.process = self._start()

    def kill(self) -> None:
        """End without a chance to clean up."""
        self.process.kill()
        self.process.wait(STOP_SECONDS)

    def stop(self) -> int:
        """End as an orchestrator does; return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)

    def is_ready(self) -> bool:
        """Ask the operators' port."""
        try:
            url = f"http://127.0.0.1:{self.ops_port}/readyz"
            return httpx.get(url, timeout=3, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def logs(self) -> list[dict[str, Any]]:
        """Read the log lines."""
        return [json.loads(line) for line in self.log.splitlines() if line[:1] == "{"]

    @property
    def log(self) -> str:
        """All that it wrote."""
        return self._log.read_text()

    def metrics(self) -> dict[str, float]:
        """Scrape it: the value of each series, by its name and labels as they are written."""
        url = f"http://127.0.0.1:{self.ops_port}/metrics"
        text = httpx.get(url, timeout=10, trust_env=False).raise_for_status().text
        lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
        return {series: float(value) for series, _, value in lines}


def merchant_token() -> str:
    """Make a token of a merchant who may do everything."""
    now = int(time.time())
    claims = {
        "iss": "tests", "aud": "payment-service", "sub": "tester", "tenant_id": "shop",
        "scope": SCOPES, "iat": now, "exp": now + 36_000,
    }  # fmt: skip
    return jwt.encode(claims, AUTH_SECRET, algorithm="HS256")


class Deployment:
    """Processes of the service that share a database, a broker and a provider."""

    def __init__(
        self,
        folder: Path,
        *,
        database_url: str,
        broker_url: str,
        simulator: Simulator,
        launch: Launch = from_source,
    ) -> None:
        self._launch = launch
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.simulator = simulator
        self.roles: list[Role] = []
        self._folder = folder
        self.environ = {
            **os.environ,
            **AUTH,
            **simulator.environment,
            "PAYMENTS_AUTH_SECRET": AUTH_SECRET,
            "PAYMENTS_DATA_KEYS": DATA_KEYS,
            "PAYMENTS_DATABASE_URL": database_url,
            "PAYMENTS_BROKER_URL": broker_url,
            "PAYMENTS_PORT": str(self.port),
            "PAYMENTS_PUBLIC_URL": self.url,
        }
        self._http = httpx.Client(base_url=self.url, timeout=30, trust_env=False)
        self.token = merchant_token()

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run an operator's command."""
        return subprocess.run(
            self._launch(arguments, self.environ),
            env=self.environ, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    def start(self, *names: str) -> list[Role]:
        """Start processes and wait until they are ready."""
        started = []
        for name in names:
            log = self._folder / f"{len(self.roles)}-{name}.log"
            self.roles.append(Role(name, self.environ, log, self._launch))
            started.append(self.roles[-1])
        for role in started:
            wait_until(role.is_ready, seconds=START_SECONDS, what=f"{role.name} is ready")
        return started

    def call(self, method: str, path: str, body: Any = None, key: str = "") -> httpx.Response:
        """Call the API."""
        headers = {"Authorization": f"Bearer {self.token}"}
        if method == "POST":
            headers["Idempotency-Key"] = key or f"key-{time.time_ns()}"
        return self._http.request(method, path, json=body, headers=headers)

    def create(self, amount: int = 45_000, reference: str = "") -> dict[str, Any]:
        """Create a payment."""
        response = self.call("POST", "/v1/payments", {
            "amount": amount, "currency": "VND",
            "order_reference": reference or f"order-{time.time_ns()}",
            "return_url": "https://shop.example/t", "cancel_url": "https://shop.example/c",
        })  # fmt: skip
        assert response.status_code == 201, response.text
        return dict(response.json())

    def wait_for(self, payment_id: str, status: str, seconds: float = 30) -> dict[str, Any]:
        """Read a payment until it has a status."""

        def look() -> dict[str, Any] | None:
            seen = self.call("GET", f"/v1/payments/{payment_id}").json()
            return dict(seen) if seen.get("status") == status else None

        return dict(wait_until(look, seconds=seconds, what=f"{payment_id} is {status}"))

    def close(self) -> None:
        """Stop what still runs."""
        self._http.close()
        for role in self.roles:
            if role.process.poll() is None:
                role.stop()


@contextmanager
def deployment(
    folder: Path,
    *,
    database_url: str,
    broker_url: str,
    simulator: Simulator,
    launch: Launch = from_source,
) -> Iterator[Deployment]:
    """Prepare database and topics, and stop every process at the end."""
    made = Deployment(
        folder,
        database_url=database_url,
        broker_url=broker_url,
        simulator=simulator,
        launch=launch,
    )
    try:
        migrated = made.command("migrate")
        assert migrated.returncode == 0, migrated.stderr
        yield made
    finally:
        made.close()


def read_topic(bootstrap: str, topic: str, *, seconds: float = 30) -> list[tuple[str, Any]]:
    """Read a topic from its beginning with an independent client: keys and values, in order."""
    consumer = confluent_kafka.Consumer({
        "bootstrap.servers": bootstrap, "group.id": f"reader-{time.time_ns()}",
        "auto.offset.reset": "earliest", "enable.partition.eof": True,
    })  # fmt: skip
    consumer.subscribe([topic])
    read: list[tuple[str, Any]] = []
    at_end: set[int] = set()
    deadline = time.monotonic() + seconds
    try:
        while time.monotonic() < deadline:
            message = consumer.poll(1.0)
            if message is None:
                continue
            if message.error() is not None:
                at_end.add(message.partition())
                if at_end >= {partition.partition for partition in consumer.assignment()}:
                    return read
                continue
            read.append((message.key().decode(), json.loads(message.value())))
    finally:
        consumer.close()
    raise AssertionError(f"{topic} was not read to its end within {seconds} seconds")
