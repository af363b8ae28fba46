"""A client that insists: it repeats a request with the same key until the answer is final."""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx

from payment_service.api.auth import issue_token
from tests.chaos.roles import AUDIENCE, AUTH_SECRET, ISSUER

TENANT = "chaos"
SCOPES = "payments:read payments:write refunds:write exceptions:write"
PAUSE_SECONDS = (0.05, 0.4)  # between tries
TIMEOUT_SECONDS = 30.0
DELIVERIES_MAX = 3
BANK_TRIES_MAX = 5


class OutOfTime(Exception):
    """The run is over and there is still no final answer."""


class Progress:
    """A number that grows, and that can be waited for."""

    def __init__(self) -> None:
        self.reached = 0
        self._moved = asyncio.Event()

    def move(self) -> None:
        """Grow by one."""
        self.reached += 1
        self._moved.set()
        self._moved = asyncio.Event()

    async def reach(self, goal: float) -> None:
        """Wait until the number has grown so far."""
        while self.reached < goal:
            await self._moved.wait()


@dataclass(slots=True)
class Answers:
    """What was said, by key: the same to everybody who asked with it."""

    by_key: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    payments: dict[str, str] = field(default_factory=dict)  # by key of the create request
    problems: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    create_seconds: list[float] = field(default_factory=list)
    replayed: int = 0
    kept: Progress = field(default_factory=Progress)

    def keep(self, key: str, response: httpx.Response) -> None:
        """Keep a final answer, or compare it with the one that was given before."""
        said = (response.status_code, response.content)
        known = self.by_key.setdefault(key, said)
        if known != said:
            self.problems.append(f"{key} was answered {known[0]} and {said[0]}, or other bytes")
        self.kept.move()
        self.replayed += "idempotent-replayed" in response.headers

    def note(self, response: httpx.Response, request: str) -> None:
        """Count an answer, and see whether it may be given at all."""
        code = "" if response.is_success else f" {response.json().get('code')}"
        self.statuses[f"{response.status_code}{code}"] += 1
        if response.status_code == 500:
            self.problems.append(f"{request} was answered 500: {response.text[:200]}")
        if response.status_code in {503, 504} and "retry-after" not in response.headers:
            self.problems.append(f"{request}: {response.status_code} without Retry-After")


class Client:
    """Speaks to the service as a merchant does, and to the provider's admin API as a payer.

    Args:
        api: Where the service is.
        provider: Where the provider is.
        chance: For the pauses.
        seconds_max: How long one may insist, all requests together; `extend` begins anew.
    """

    def __init__(
        self, api: str, provider: str, chance: random.Random, *, seconds_max: float
    ) -> None:
        self.answers = Answers()
        self._chance = chance
        self._seconds_max = seconds_max
        self._deadline = time.monotonic() + seconds_max
        limits = httpx.Limits(max_connections=None)
        self._api = httpx.AsyncClient(
            base_url=api, timeout=TIMEOUT_SECONDS, trust_env=False, limits=limits,
            headers={"authorization": f"Bearer {_token()}"},
        )  # fmt: skip
        self._bank = httpx.AsyncClient(
            base_url=f"{provider}/_admin", timeout=TIMEOUT_SECONDS, trust_env=False, limits=limits
        )

    @property
    def is_out_of_time(self) -> bool:
        """Whether nothing is asked any more."""
        return time.monotonic() >= self._deadline

    def extend(self) -> None:
        """Let the time begin anew."""
        self._deadline = time.monotonic() + self._seconds_max

    async def close(self) -> None:
        """Disconnect."""
        await self._api.aclose()
        await self._bank.aclose()

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str = "",
        hang_up_seconds: float | None = None,
    ) -> httpx.Response:
        """Repeat a request until its answer is final, and keep that.

        Raises:
            OutOfTime: There was none before the end of the run.
        """
        headers = {"idempotency-key": key} if key else {}
        while not self.is_out_of_time:
            try:
                async with asyncio.timeout(hang_up_seconds):
                    response = await self._api.request(method, path, json=body, headers=headers)
            except (httpx.HTTPError, TimeoutError) as error:
                self.answers.statuses[type(error).__name__] += 1
            else:
                self.answers.note(response, f"{method} {path}")
                if response.is_success or not response.json().get("retryable", True):
                    if key:
                        self.answers.keep(key, response)
                    return response
            hang_up_seconds = None
            await self.breathe()
        raise OutOfTime(key or path)

    async def ask_and_leave(self, path: str, body: Any, *, key: str, seconds: float) -> None:
        """Send a request, and hang up without waiting for its end."""
        headers = {"idempotency-key": key}
        try:
            async with asyncio.timeout(seconds):
                await self._api.post(path, json=body, headers=headers)
        except (httpx.HTTPError, TimeoutError) as error:
            self.answers.statuses[type(error).__name__] += 1

    async def deliver(self, webhook: dict[str, Any], delay_seconds: float) -> None:
        """Deliver a webhook some time later; a few tries, which may all be in vain."""
        await asyncio.sleep(delay_seconds)
        for _ in range(DELIVERIES_MAX):
            try:
                response = await self._api.post("/v1/webhooks/payos", json=webhook)
            except httpx.HTTPError:
                continue
            self.answers.statuses[f"webhook {response.status_code}"] += 1
            if response.status_code < 500:
                return
            await self.breathe()

    async def bank(self, method: str, path: str, body: Any = None) -> Any:
        """Call the admin API of the provider; nobody disturbs it, but its machine may be slow."""
        for left in reversed(range(BANK_TRIES_MAX)):
            try:
                response = await self._bank.request(method, path, json=body)
            except httpx.TransportError:
                if not left:
                    raise
            else:
                return response.raise_for_status().json()
        raise AssertionError("unreachable: the last try returns or raises")

    async def breathe(self) -> None:
        """Wait a moment."""
        await asyncio.sleep(self._chance.uniform(*PAUSE_SECONDS))


def _token() -> str:
    return issue_token(
        secret=AUTH_SECRET,
        issuer=ISSUER,
        audience=AUDIENCE,
        tenant_id=TENANT,
        user_id="merchant",
        scope=SCOPES,
        lifetime=timedelta(days=1),
    )
