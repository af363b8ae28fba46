"""Idempotency: what a request said, what its key means, and the answer that is kept.

Source: IETF draft-ietf-httpapi-idempotency-key-header; RFC 8785 for the canonical form.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from payment_service.domain.errors import PaymentServiceError

LEASE = timedelta(seconds=30)
"""How long a request may go without a step before another with its key takes over.

It is more than any call to the provider takes, and what is over is how far the clocks of two hosts
may be apart before one of them disturbs a request that the other still serves.
"""

RETENTION = timedelta(days=30)
"""How long an answer is kept after completion. Published in the contract."""


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """An answer, byte for byte."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotentRequest:
    """A request that takes effect once."""

    tenant_id: str
    key: str
    operation: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller gets; `replayed` tells that it was decided by an earlier request."""

    response: StoredResponse
    replayed: bool


RenderError = Callable[[PaymentServiceError], StoredResponse]


def normalise_key(header: str) -> str:
    """Read the key: the quoted form of the draft and the bare form are one key."""
    return header[1:-1] if header.startswith('"') else header


def fingerprint(*, method: str, path: str, query: list[tuple[str, str]], body: Any) -> str:
    """Digest what a request asked, over the parsed body as it came.

    Not over the validated model: a release that adds an optional member with a default would turn
    honest retries into `IDEMPOTENCY_KEY_REUSED`. Member order, white space and the spelling of
    whole numbers (1000, 1e3) do not matter.
    """
    canonical = json.dumps(
        ["1", method, path, sorted(query), _plain(body)],
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
    )
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _plain(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_plain(member) for member in value]
    return value
