"""HTTP to Stripe, and an answer to "did it act?" for everything that can go wrong.

Requests are forms, answers JSON. Every POST carries an Idempotency-Key, for a day: so what got no
answer may be sent again, and an answer that is a replay says so. What is not known to be a refusal
is an unknown outcome, never a failure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from payment_service.providers import retry_after
from payment_service.providers.exchange import Connections, Request, Response, read_object
from payment_service.providers.guard import Guard
from payment_service.providers.provider import (
    AlreadyExists,
    InsufficientFunds,
    Operation,
    OutcomeUnknown,
    ProviderError,
    ProviderFailing,
    ProviderMisconfigured,
    ProviderThrottled,
    RequestNotSent,
    RequestRejected,
    UnknownReference,
)

API_VERSION = "2026-10-28.endive"  # what the answers are shaped by, whatever the account's default
CODE_LENGTH_MAX = 64
USER_AGENT = "payment-service/0.1"

# Source: Stripe API reference, "Errors" and "Error codes", 2026-10.
_BY_CODE: dict[str, type[ProviderError]] = {
    "resource_missing": UnknownReference,
    "balance_insufficient": InsufficientFunds,
    "insufficient_funds": InsufficientFunds,
    "idempotency_key_in_use": AlreadyExists,  # an earlier try of ours is still running
    "lock_timeout": ProviderThrottled,
    "rate_limit": ProviderThrottled,
    "api_key_expired": ProviderMisconfigured,
    "testmode_charges_only": ProviderMisconfigured,
    "livemode_mismatch": ProviderMisconfigured,
}
_BY_TYPE: dict[str, type[ProviderError]] = {
    "idempotency_error": AlreadyExists,  # the key has been used, for a request that was another
    "invalid_request_error": RequestRejected,
    "card_error": RequestRejected,
}
_UNAUTHORISED = frozenset({401, 403})
_REFUSING = frozenset({400, 402, 404, 409})
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500

Form = Mapping[str, str | int]
"""Members in Stripe's own spelling: `metadata[order_code]`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What Stripe said, and whether it was said before: to an earlier request with the same key."""

    data: dict[str, Any]
    is_replay: bool


class StripeClient:
    """Calls the API.

    Args:
        http: Shared connections; closed by its owner.
        secret_key: Goes with every request.
        guard: Lets the calls out.
    """

    def __init__(self, http: Connections, secret_key: str, guard: Guard) -> None:
        self._http = http
        self._secret_key = secret_key
        self._guard = guard

    async def get(
        self, operation: Operation, path: str, query: Form | None = None
    ) -> dict[str, Any]:
        """Read.

        Raises:
            ProviderError: See `provider`.
        """

        async def send(seconds: float) -> Answer:
            return await self._send(operation, self._request("GET", path, query or {}), seconds)

        return (await self._guard.call(operation, send, may_repeat=True)).data

    async def post(
        self, operation: Operation, path: str, form: Form, *, idempotency_key: str
    ) -> Answer:
        """Change something; the same key changes it once.

        Returns:
            The answer; a replay if an earlier call was answered, not an earlier try of this one.

        Raises:
            AlreadyExists: The key has been used for another request, or is in use.
            ProviderError: See `provider`.
        """
        tries, may_have_acted = 0, False

        async def send(seconds: float) -> Answer:
            nonlocal tries, may_have_acted
            tries += 1
            request = self._request("POST", path, form, {"idempotency-key": idempotency_key})
            try:
                return await self._send(operation, request, seconds)
            except OutcomeUnknown as error:
                may_have_acted |= not isinstance(error, ProviderThrottled)
                raise

        try:
            answer = await self._guard.call(operation, send, may_repeat=True)
        except RequestNotSent as silence:
            if may_have_acted:  # the last try was not sent; an earlier one was
                raise OutcomeUnknown.after(silence) from silence
            raise
        return Answer(answer.data, is_replay=answer.is_replay and tries == 1)

    def _request(
        self, method: str, path: str, form: Form, headers: Mapping[str, str] | None = None
    ) -> Request:
        encoded = urlencode(form)
        is_get = method == "GET"
        return Request(
            method=method,
            target=f"{path}?{encoded}" if is_get and encoded else path,
            body=None if is_get else encoded.encode(),
            headers={
                "authorization": f"Bearer {self._secret_key}",
                "stripe-version": API_VERSION,
                "user-agent": USER_AGENT,
                **({} if is_get else {"content-type": "application/x-www-form-urlencoded"}),
                **(headers or {}),
            },
        )

    async def _send(self, operation: Operation, request: Request, seconds: float) -> Answer:
        response = await self._http.exchange(request, operation=operation, seconds=seconds)
        _check_status(response)
        data = read_object(response, "Stripe")
        if not response.is_success:
            raise _refusal(response.status, data.get("error"))
        return Answer(data, is_replay=response.headers.get("idempotent-replayed") == "true")


def _check_status(response: Response) -> None:
    """Raise for what the status alone tells."""
    status = response.status
    if status in _UNAUTHORISED:
        raise ProviderMisconfigured("Stripe refuses our key", provider_code=str(status))
    if status == _TOO_MANY_REQUESTS:
        raise ProviderThrottled(
            "Stripe asks for a pause", retry_after_seconds=retry_after.read(response.headers)
        )
    if status >= _SERVER_ERROR:
        raise ProviderFailing(
            f"Stripe answered {status}", retry_after_seconds=retry_after.read(response.headers)
        )


def _refusal(status: int, error: Any) -> ProviderError:
    said = error if isinstance(error, dict) else {}
    code, kind = str(said.get("code") or ""), str(said.get("type") or "")
    found = _BY_CODE.get(code) or _BY_TYPE.get(kind) or OutcomeUnknown
    if status not in _REFUSING:
        found = OutcomeUnknown
    told = str(said.get("decline_code") or code or kind)[:CODE_LENGTH_MAX]
    return found(f"Stripe answered {told or status}", provider_code=told or str(status))
