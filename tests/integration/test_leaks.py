"""The canary of all tests sings: a secret that gets out is found, wherever it gets out."""

import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from payment_service.messaging import topics
from payment_service.messaging.broker import Message
from payment_service.telemetry import tracing
from payment_service.telemetry.logging import get_logger
from tests.support.leaks import Leaks, listening
from tests.support.service import Harness, environment, running_service
from tests.support.simulator import ENVIRONMENT

ACCOUNT = "0777123456789"
REFUND = {"destination": {"type": "bank_account", "account_number": ACCOUNT}}


@pytest.fixture
async def heard(tmp_path: Path) -> AsyncIterator[tuple[Harness, Leaks]]:
    """A service that is listened to, and has been told an account number."""
    settings = environment(f"sqlite+aiosqlite:///{tmp_path}/leaks.db", ENVIRONMENT)
    async with running_service(settings) as harness:
        with listening(harness) as leaks:
            await harness.request("POST", "/v1/payments/pay_1/refunds", REFUND)
            yield harness, leaks


def trace(text: str) -> None:
    with tracing.span("work"):
        tracing.mark(payment_id=text)


WAYS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "our line": ("log", lambda text: get_logger("ours").info("e", note=text)),
    "a library's line": ("log", lambda text: logging.getLogger("theirs").error("to %s", text)),
    "a span": ("span", trace),
}


@pytest.mark.parametrize("way", WAYS)
async def test_a_secret_that_is_told_is_found(heard: tuple[Harness, Leaks], way: str) -> None:
    harness, leaks = heard
    where, tell = WAYS[way]
    assert leaks.found(harness) == []

    tell(f"account {ACCOUNT}")

    assert leaks.found(harness) == [(where, ACCOUNT)]


async def test_a_secret_in_a_message_or_a_problem_is_found(heard: tuple[Harness, Leaks]) -> None:
    harness, leaks = heard
    message = Message(topics.EVENTS, "key", f'{{"to": "{ACCOUNT}"}}'.encode(), {})
    await harness.published.publisher.publish([message])
    leaks.problems.append(f"account {ACCOUNT} is closed")

    assert len(leaks.problems) == 2, "the refused refund is one"
    assert sorted(leaks.found(harness)) == [("message", ACCOUNT), ("problem", ACCOUNT)]
