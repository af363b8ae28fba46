"""Logs are JSON lines without secrets; metrics are all there from the start."""

import io
import json
import logging

import pytest

from payment_service.telemetry import logging as logs
from payment_service.telemetry.metrics import Metrics
from payment_service.workers.ops import OpsApp


@pytest.fixture
def stream() -> io.StringIO:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    output = io.StringIO()
    logs.configure("INFO", output)
    yield output
    root.handlers, root.level = before, level


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_our_logs_and_those_of_libraries_are_json(stream: io.StringIO) -> None:
    with logs.bound(request_id="req-1"):
        logs.get_logger("ours").info("payment.created", payment_id="pay_1")
        logging.getLogger("uvicorn.error").warning("hello %s", "world")

    ours, theirs = lines(stream)
    assert (ours["event"], ours["payment_id"], ours["request_id"], ours["level"]) == (
        "payment.created", "pay_1", "req-1", "info",
    )  # fmt: skip
    assert str(ours["time"]).endswith("Z")
    assert (theirs["event"], theirs["logger"], theirs["request_id"]) == (
        "hello world", "uvicorn.error", "req-1",
    )  # fmt: skip


def test_fields_that_look_secret_are_masked(stream: io.StringIO) -> None:
    canary = "CANARY-4711"
    logs.get_logger("x").info(
        "x", api_key=canary, account_number=canary, body=canary, Authorization=canary,
        payload=canary, checksum_key=canary, access_token=canary,
    )  # fmt: skip

    assert canary not in stream.getvalue()


def test_exceptions_are_one_line(stream: io.StringIO) -> None:
    try:
        int("x")
    except ValueError:
        logs.get_logger("x").exception("failed")

    assert "ValueError" in str(lines(stream)[0]["exception"])


async def call(app: OpsApp, path: str) -> tuple[int, bytes]:
    sent: list[dict[str, object]] = []

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    await app({"type": "http", "path": path}, None, send)
    return int(str(sent[0]["status"])), bytes(sent[1]["body"])  # type: ignore[arg-type]


async def fine() -> None:
    return None


async def broken() -> None:
    raise RuntimeError("the database is away")


async def test_readiness_names_what_is_missing() -> None:
    metrics = Metrics(version="1", operations=("createPayment",))

    ready = await call(OpsApp(metrics.registry, {"a": fine}), "/readyz")
    not_ready = await call(OpsApp(metrics.registry, {"a": fine, "b": broken}), "/readyz")

    assert ready == (200, b'{"status":"ready","missing":{}}')
    assert not_ready[0] == 503
    assert json.loads(not_ready[1])["missing"] == {"b": "the database is away"}
    assert (await call(OpsApp(metrics.registry, {}), "/livez"))[0] == 200
    assert (await call(OpsApp(metrics.registry, {}), "/nothing"))[0] == 404


async def test_every_series_is_there_from_the_start() -> None:
    metrics = Metrics(version="1", operations=("createPayment",))

    _, body = await call(OpsApp(metrics.registry, {}), "/metrics")

    text = body.decode()
    for series in (
        'payments_http_requests_total{operation="createPayment",status="5xx"} 0.0',
        'payments_webhooks_total{outcome="dead"} 0.0',
        'payments_provider_calls_total{operation="create",outcome="unknown"} 0.0',
        "payments_outbox_pending 0.0",
        'payments_build_info{version="1"} 1.0',
    ):
        assert series in text
