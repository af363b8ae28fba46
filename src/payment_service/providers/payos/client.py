"""HTTP to payOS, and an answer to "did it act?" for everything that can go wrong.

payOS answers most errors with HTTP 200 and a code; so success is 2xx *and* code "00" *and* a valid
signature. What is not known to be a refusal is an unknown outcome, never a failure.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec

from payment_service.providers import retry_after
from payment_service.providers.exchange import Connections, Request, Response, read_object
from payment_service.providers.guard import Guard
from payment_service.providers.payos import signature
from payment_service.providers.payos.settings import Credentials
from payment_service.providers.provider import (
    AlreadyExists,
    InsufficientFunds,
    InvalidDestination,
    Operation,
    OutcomeUnknown,
    ProviderError,
    ProviderFailing,
    ProviderMisconfigured,
    ProviderThrottled,
    RequestRejected,
    UnknownReference,
)

USER_AGENT = "payment-service/0.1"

# Source: payOS error table and captured answers, 2026-10. Whatever is not listed is unknown.
_REFUSALS: dict[str, type[ProviderError]] = {
    "20": RequestRejected,
    "101": UnknownReference,
    "201": ProviderMisconfigured,
    "214": ProviderMisconfigured,
    "231": AlreadyExists,
    "401": ProviderMisconfigured,
    "403": ProviderMisconfigured,
    "PAYMENT_LINK_NOT_FOUND": UnknownReference,
    "BALANCE_NOT_ENOUGH": InsufficientFunds,
    "DUPLICATE_IDEMPOTENCY_KEY": AlreadyExists,
    "DUPLICATE_REFERENCE_ID": AlreadyExists,
    "INVALID_DESTINATION": InvalidDestination,
    "PAYOUT_LIMIT_REACHED": RequestRejected,
    "PAYOUT_MAX_EXCEEDED_PER_TIME": RequestRejected,
    "PAYOUT_MIN_EXCEEDED_PER_TIME": RequestRejected,
    "INVALID_PARAM": RequestRejected,
}
_UNAUTHORISED = frozenset({401, 403})
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500


class PayOSClient:
    """Calls one channel of payOS.

    Args:
        http: Shared connections; closed by its owner.
        credentials: Of the channel.
        guard: Lets the calls out; shared by the channels.
    """

    def __init__(self, http: Connections, credentials: Credentials, guard: Guard) -> None:
        self._http = http
        self._credentials = credentials
        self._guard = guard

    async def call(
        self,
        operation: Operation,
        method: str,
        path: str,
        *,
        body: dict[str, Any] | None = None,
        query: dict[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        signed_by: str = "body",
        may_repeat: bool = False,
    ) -> Any:
        """Call, and return `data`.

        Args:
            operation: What for.
            method: The HTTP method.
            path: From the origin.
            body: Sent as JSON.
            query: Sent in the URL.
            headers: Beside the credentials.
            signed_by: Where the answer's signature is: "body", "header" or "" for nowhere.
            may_repeat: Whether the call may be sent again though its outcome is unknown: reads.

        Raises:
            ProviderError: See `provider`.
        """

        async def send(seconds: float) -> Any:
            request = self._request(method, path, body, query, headers)
            response = await self._http.exchange(request, operation=operation, seconds=seconds)
            return self._read(response, signed_by)

        return await self._guard.call(operation, send, may_repeat=may_repeat)

    def _request(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        query: dict[str, str] | None,
        headers: Mapping[str, str] | None,
    ) -> Request:
        return Request(
            method=method,
            target=f"{path}?{urlencode(query)}" if query else path,
            body=None if body is None else msgspec.json.encode(body),
            headers={
                "x-client-id": self._credentials.client_id,
                "x-api-key": self._credentials.api_key,
                "content-type": "application/json",
                "user-agent": USER_AGENT,
                **(headers or {}),
            },
        )

    def _read(self, response: Response, signed_by: str) -> Any:
        if response.status in _UNAUTHORISED:
            raise ProviderMisconfigured(
                "payOS refuses our credentials or address",
                provider_code=str(response.status),
            )
        if response.status == _TOO_MANY_REQUESTS:
            raise ProviderThrottled(
                "payOS asks for a pause", retry_after_seconds=retry_after.read(response.headers)
            )
        if response.status >= _SERVER_ERROR:
            raise ProviderFailing(
                f"payOS answered {response.status}",
                retry_after_seconds=retry_after.read(response.headers),
            )
        envelope = read_object(response, "payOS")
        code = envelope.get("code")
        if code != "00" or not response.is_success:
            raise _refusal(code, envelope.get("desc"))
        data = envelope.get("data")
        self._check_signature(response, envelope, data, signed_by)
        return data

    def _check_signature(
        self, response: Response, envelope: dict[str, Any], data: Any, signed_by: str
    ) -> None:
        if not signed_by:
            return
        if not isinstance(data, dict):
            raise OutcomeUnknown("the answer of payOS has no data")
        in_header = signed_by == "header"
        given = response.headers.get("x-signature") if in_header else envelope.get("signature")
        sign = signature.sign_payout if in_header else signature.sign_data
        keys = self._credentials.checksum_keys
        # Every key is tried, so that the time taken does not tell which one fits.
        fits = [signature.matches(sign(data, key), given) for key in keys]
        if not any(fits):
            raise OutcomeUnknown("the answer of payOS is not signed by it")


def _refusal(code: Any, description: Any) -> ProviderError:
    kind = _REFUSALS.get(str(code), OutcomeUnknown)
    # Some documented names have no published number: they come in the description.
    for name, named in _REFUSALS.items():
        if not name.isdigit() and isinstance(description, str) and name in description:
            kind = named
    return kind(f"payOS answered code {str(code)[:32]}", provider_code=str(code)[:32])
