"""Listens to all that a service says while a test runs, and finds what it must not say.

Every test of the service has this canary: what goes in and is secret (tokens, keys, the accounts
and names of people, as they come in requests and webhooks) must not come out in a log line, a span,
a message or a problem.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import structlog
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from payment_service.telemetry import logging as service_logging, tracing
from tests.support.service import SECRET, Harness
from tests.support.simulator import PAYMENT, PAYOUT

PERSONAL = frozenset(
    {"account_number", "account_name", "counterAccountNumber", "counterAccountName"}
)
LENGTH_MIN = 6  # a shorter text is found everywhere by chance


class Leaks:
    """What was heard, and what must not be in it."""

    def __init__(self) -> None:
        self.secrets = {SECRET, PAYMENT.api_key, PAYMENT.checksum_key, PAYOUT.api_key,
                        PAYOUT.checksum_key}  # fmt: skip
        self.lines: list[str] = []
        self.problems: list[str] = []
        self.spans = InMemorySpanExporter()

    def found(self, harness: Harness) -> list[tuple[str, str]]:
        """List where which secret was told."""
        said = {
            "log": self.lines,
            "problem": self.problems,
            "span": [span.to_json() for span in self.spans.get_finished_spans()],
            "message": [repr(message) for message in harness.published.published],
        }
        return [
            (where, secret)
            for where, texts in said.items()
            for secret in self.secrets
            if any(secret in text for text in texts)
        ]

    async def note_request(self, request: httpx.Request) -> None:
        """Learn what is secret from what comes in."""
        token = request.headers.get("authorization", "").rpartition(" ")[2]
        self._note(token)
        try:
            self._note_people(json.loads(request.content))
        except (ValueError, RecursionError, httpx.RequestNotRead):
            return

    async def note_response(self, response: httpx.Response) -> None:
        """Keep a problem."""
        if response.is_error:
            self.problems.append((await response.aread()).decode(errors="replace"))

    def hear(self, _logger: Any, method: str, event: Any) -> Any:
        """Keep the line that an event of ours would be; a processor of structlog."""
        line: Any = dict(event)
        for process in service_logging.processors():
            line = process(SimpleNamespace(name="heard"), method, line)
        self.lines.append(str(line))
        return event

    def _note_people(self, value: Any) -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                if name in PERSONAL and isinstance(inner, str):
                    self._note(inner)
                self._note_people(inner)
        elif isinstance(value, list):
            for inner in value:
                self._note_people(inner)

    def _note(self, text: str) -> None:
        if len(text) >= LENGTH_MIN:
            self.secrets.add(text)


class _Records(logging.Handler):
    """Hears what libraries log."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines
        self.setFormatter(service_logging.formatter())

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))


@contextmanager
def listening(harness: Harness) -> Iterator[Leaks]:
    """Listen to a service."""
    leaks = Leaks()
    harness.http.event_hooks = {"request": [leaks.note_request], "response": [leaks.note_response]}
    provider, tracer = TracerProvider(shutdown_on_exit=False), tracing.TRACER
    provider.add_span_processor(SimpleSpanProcessor(leaks.spans))
    tracing.TRACER = provider.get_tracer("leaks")
    processors, records = structlog.get_config()["processors"], _Records(leaks.lines)
    processors.insert(0, leaks.hear)
    logging.getLogger().addHandler(records)
    try:
        yield leaks
    finally:
        logging.getLogger().removeHandler(records)
        processors.remove(leaks.hear)
        tracing.TRACER = tracer
