"""How many requests a tenant may make of this process, and how that is told.

A request that is repeated with a key that was let in before does not compete with new ones: a
client that does the right thing after a time-out must not be locked out by it. Repeats have a quota
of their own, as large, and the answer says which of the two counted.
Source: RateLimit and RateLimit-Policy of draft-ietf-httpapi-ratelimit-headers-10. The RateLimit-*
fields of its version 06, which it gave up, cannot tell of two quotas.
"""

import hashlib
import math
from collections import OrderedDict

from openapi_runtime.operations import Context
from payment_service.domain.clock import Clock
from payment_service.domain.errors import RateLimited
from payment_service.domain.quota import Quotas

TENANTS_MAX = 1024
KEYS_MAX = 256  # of a tenant, remembered
BURSTS_PER_MINUTE = 6  # a sixth of a minute's requests may come at once


class RateLimits:
    """The quotas of all tenants, in this process."""

    def __init__(self, clock: Clock, *, per_minute: int) -> None:
        self._burst = max(1, per_minute // BURSTS_PER_MINUTE)
        self._requests, self._repeats = (
            Quotas(clock, per_minute=per_minute, burst=self._burst, names_max=TENANTS_MAX)
            for _ in range(2)
        )
        window = math.ceil(60 * self._burst / per_minute)
        self._policy = ", ".join(
            f'"{name}";q={self._burst};w={window}' for name in ("requests", "repeats")
        )
        self._keys: OrderedDict[str, OrderedDict[bytes, None]] = OrderedDict()

    def admit(self, tenant_id: str, context: Context) -> None:
        """Let a request in, and tell with its answer how many more may come.

        Raises:
            RateLimited: See there.
        """
        key = _key_of(context)
        known = self._keys_of(tenant_id)
        name, quotas = ("repeats", self._repeats) if key in known else ("requests", self._requests)
        quota = quotas.of(tenant_id)
        is_admitted = quota.take()
        seconds_until_all = quota.seconds_until(self._burst)
        context.response_headers |= {
            "ratelimit-policy": self._policy,
            "ratelimit": f'"{name}";r={quota.left};t={seconds_until_all}',
        }
        if not is_admitted:
            raise RateLimited(quota.seconds_until(1))
        if key:
            _remember(known, key, KEYS_MAX)

    def _keys_of(self, tenant_id: str) -> OrderedDict[bytes, None]:
        known = self._keys.get(tenant_id)
        if known is None:
            known = self._keys[tenant_id] = OrderedDict()
            if len(self._keys) > TENANTS_MAX:
                self._keys.popitem(last=False)
        self._keys.move_to_end(tenant_id)
        return known


def _remember(known: OrderedDict[bytes, None], key: bytes, limit: int) -> None:
    known[key] = None
    known.move_to_end(key)
    if len(known) > limit:
        known.popitem(last=False)


def _key_of(context: Context) -> bytes:
    """Name what a request repeats; empty for one that has no key."""
    if not context.operation.idempotent:
        return b""
    name = f"{context.operation.id} {context.headers.get('idempotency-key', '')}"
    return hashlib.sha256(name.encode()).digest()
