"""Sends every hostile input to a real process, and holds the answers against the table."""

import json
import re
import socket
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt

from tests.hostile import addresses, bodies, callers, framing
from tests.hostile.case import Case, World, order
from tests.support.process import AUTH_SECRET, Development, development

ANSWER_SECONDS = 30  # for the slowest answer, a time-out of the server's own
AT_ONCE = 16
CHECKSUM_KEY = "dev-checksum-key"
MONEY = (
    "payments", "payment_attempts", "receipts", "refunds", "money_exceptions", "audit_log",
    "idempotency_keys", "outbox_events",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came back for a case."""

    case: Case
    got: str

    @property
    def is_as_expected(self) -> bool:
        """Tell whether it is what the table says."""
        return self.got == self.case.expected


def all_cases(world: World) -> list[Case]:
    """List the whole table."""
    sources = (framing, addresses, bodies, callers)
    return [case for source in sources for case in source.cases(world)]


@contextmanager
def running(folder: Path) -> Iterator[tuple[Development, World]]:
    """Run a service with something in it that is worth an attack."""
    with development(folder) as service:
        payments = [service.call("POST", "/v1/payments", order(order_reference=f"worth-{number}"),
                                 key=f"used-{number}").json()
                    for number in range(2)]  # fmt: skip
        others = jwt.encode(
            jwt.decode(service.token, options={"verify_signature": False}) | {"tenant_id": "other"},
            AUTH_SECRET, algorithm="HS256",
        )  # fmt: skip
        theirs = [_create_as(service, others, number) for number in range(2)]
        yield (
            service,
            World(
                token=service.token,
                secret=AUTH_SECRET,
                payment_id=payments[0]["payment_id"],
                others_payment_id=theirs[0]["payment_id"],
                others_token=others,
                others_cursor=_cursor(service, others),
                cursor=_cursor(service, service.token),
                used_key="used-0",
                checksum_key=CHECKSUM_KEY,
            ),
        )


def _create_as(service: Development, token: str, number: int) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": f"theirs-{number}"}
    body = order(order_reference=f"theirs-{number}")
    made = httpx.post(f"{service.url}/v1/payments", json=body, headers=headers, trust_env=False)
    return dict(made.json())


def _cursor(service: Development, token: str) -> str:
    url = f"{service.url}/v1/payments?limit=1"
    page = httpx.get(url, headers={"Authorization": f"Bearer {token}"}, trust_env=False)
    return str(page.json()["next_cursor"])


def attack(port: int, cases: list[Case]) -> list[Outcome]:
    """Send all of them, several at once."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda case: Outcome(case, send(port, case.data)), cases))


def send(port: int, data: bytes) -> str:
    """Send some bytes, read to the end of the connection, and sum the answers up."""
    deadline = time.monotonic() + ANSWER_SECONDS
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS) as connection:
        with suppress(OSError):  # it was refused before it was all there; the answer tells
            connection.sendall(data)
        while time.monotonic() < deadline:
            try:
                piece = connection.recv(65536)
            except TimeoutError:
                return "hangs"
            except ConnectionResetError:
                return "reset " + summary(received)
            if not piece:
                return summary(received)
            received += piece
    return "hangs"


def summary(received: bytes) -> str:
    """Name the status and the code of every answer."""
    answers = []
    for part in re.split(rb"(?=HTTP/1\.1 \d{3} )", received)[1:]:
        head, _, body = part.partition(b"\r\n\r\n")
        status = head.split(b" ")[1].decode()
        is_problem = b"application/problem+json" in head.lower() and body
        answers.append(f"{status} {json.loads(body)['code']}" if is_problem else status)
    return ", ".join(answers) or "closed"


def rows(folder: Path) -> dict[str, int]:
    """Count what is stored about money."""
    with sqlite3.connect(f"file:{folder}/var/payments.db?mode=ro", uri=True) as database:
        return {
            table: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in MONEY
        }
