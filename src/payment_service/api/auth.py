"""Who is calling: a JSON Web Token with a tenant and scopes.

Source: RFC 7519, RFC 8725 (fixed algorithms, required claims), RFC 6750 (scope as a list of words).
"""

import hashlib
import math
import re
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from generated.api.problems import PROBLEM_TYPES
from openapi_runtime.operations import Context
from openapi_runtime.problems import Problem
from payment_service.api.keys import Key, KeySet, KeysUnavailable
from payment_service.api.rates import RateLimits
from payment_service.telemetry.logging import bind

LEEWAY = timedelta(seconds=30)
CLAIM_LENGTH_MAX = 64
TOKEN_LENGTH_MAX = 8192
RETRY_AFTER_SECONDS = 5
VERIFIED_MAX = 4096  # tokens that are remembered
_COMPACT = re.compile(r"(?:[A-Za-z0-9_-]+\.){2}[A-Za-z0-9_-]+")  # RFC 7515, without padding
_REQUIRED = ("exp", "iat", "iss", "aud", "sub", "tenant_id")
_TYPES = frozenset({None, "jwt", "at+jwt", "application/at+jwt"})
# What a hostile token makes older releases of PyJWT raise: numbers and nesting without end.
_HOSTILE = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller, and the tenant it acts for."""

    tenant_id: str
    user_id: str
    scopes: frozenset[str]


class InvalidToken(Exception):
    """The token is not valid; why is not for the caller to know."""


@dataclass(frozen=True, slots=True)
class _Verified:
    """What a token was found to say."""

    principal: Principal
    key_name: str | None
    key: Key
    until: float  # Unix time


class TokenVerifier:
    """Checks tokens against a shared secret or the keys at a JWKS address.

    A token that was found valid is remembered by its digest, so that only its first request pays
    for the signature. It is checked anew when its key has been read anew or withdrawn.

    Args:
        keys: The shared secret, or where public keys are found.
        issuer: Who must have made the token.
        audience: Whom it must be made for.
        lifetime_max: Of a token, from `iat` to `exp`: a stolen one must not be good for ever.
    """

    def __init__(
        self, *, keys: str | KeySet, issuer: str, audience: str, lifetime_max: timedelta
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._lifetime_max = lifetime_max
        self._secret = Key(keys, ("HS256",)) if isinstance(keys, str) else None
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()

    async def verify(self, token: str) -> Principal:
        """Check a token.

        Raises:
            InvalidToken: See there.
            KeysUnavailable: Nothing can be checked now.
        """
        digest = hashlib.sha256(token.encode()).digest()
        known = self._verified.get(digest)
        if known is None or not await self._still_holds(known):
            known = await self._check(token)
            self._verified[digest] = known
            if len(self._verified) > VERIFIED_MAX:
                self._verified.popitem(last=False)
        self._verified.move_to_end(digest)
        return known.principal

    async def _still_holds(self, known: _Verified) -> bool:
        return time.time() < known.until and await self._find_key(known.key_name) is known.key

    async def _check(self, token: str) -> _Verified:
        if not _COMPACT.fullmatch(token):
            raise InvalidToken("not a token")
        try:
            key_name = _key_name(jwt.get_unverified_header(token))
            key = await self._find_key(key_name)
            claims = jwt.decode(
                token,
                key.key,
                algorithms=list(key.algorithms),
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY,
                options={"require": list(_REQUIRED)},
            )
            self._check_lifetime(claims)
            principal = Principal(
                tenant_id=_name(claims, "tenant_id"),
                user_id=_name(claims, "sub"),
                scopes=_scopes(claims),
            )
            until = int(claims["exp"]) + LEEWAY.total_seconds()
            return _Verified(principal, key_name, key, until)
        except _HOSTILE as error:
            raise InvalidToken from error

    async def _find_key(self, name: str | None) -> Key:
        """Find the key, and with it the algorithm: the token has no say in that."""
        if self._secret is not None:
            return self._secret
        assert isinstance(self._keys, KeySet)
        key = await self._keys.find(name)
        if key is None:
            raise InvalidToken("kid")
        return key

    def _check_lifetime(self, claims: dict[str, Any]) -> None:
        """Refuse what PyJWT takes: times as text, and tokens that are good for years."""
        times = [claims["iat"], claims["exp"], claims.get("nbf", claims["iat"])]
        if not all(_is_number(time) for time in times):
            raise InvalidToken("not a time")
        if claims["exp"] - claims["iat"] > self._lifetime_max.total_seconds():
            raise InvalidToken("good for too long")


def _key_name(header: dict[str, Any]) -> str | None:
    kind, name = header.get("typ"), header.get("kid")
    if (kind.lower() if isinstance(kind, str) else kind) not in _TYPES:
        raise InvalidToken("typ")
    return name if isinstance(name, str) else None


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value)


def _scopes(claims: dict[str, Any]) -> frozenset[str]:
    scope = claims.get("scope", "")
    if not isinstance(scope, str):
        raise InvalidToken("scope")
    return frozenset(scope.split())


def _name(claims: dict[str, Any], claim: str) -> str:
    value = claims.get(claim)
    if not isinstance(value, str) or not 0 < len(value) <= CLAIM_LENGTH_MAX:
        raise InvalidToken(claim)
    if not value.isascii() or not value.isprintable():
        raise InvalidToken(claim)
    return value


def issue_token(
    *, secret: str, issuer: str, audience: str, tenant_id: str, user_id: str, scope: str,
    lifetime: timedelta,
) -> str:  # fmt: skip
    """Make a token with the shared secret: for development, and for services that share it."""
    now = datetime.now(UTC)
    claims = {
        "iss": issuer,
        "aud": audience,
        "sub": user_id,
        "tenant_id": tenant_id,
        "scope": scope,
        "iat": now,
        "exp": now + lifetime,
    }
    return jwt.encode(claims, secret, algorithm="HS256")


class Security:
    """Implements the contract's security schemes."""

    def __init__(self, verifier: TokenVerifier, rates: RateLimits | None) -> None:
        self._verifier = verifier
        self._rates = rates

    async def bearer_auth(
        self, context: Context, credential: str, scopes: tuple[str, ...], /
    ) -> Principal:
        """Check the bearer token and the operation's scopes."""
        if not credential or len(credential) > TOKEN_LENGTH_MAX:
            raise _unauthenticated()
        try:
            principal = await self._verifier.verify(credential)
        except InvalidToken as error:
            raise _unauthenticated() from error
        except KeysUnavailable as error:
            headers = {"retry-after": str(RETRY_AFTER_SECONDS)}
            kind = PROBLEM_TYPES["STORAGE_UNAVAILABLE"]
            raise Problem(kind, detail=str(error), headers=headers) from error
        missing = [scope for scope in scopes if scope not in principal.scopes]
        if missing:
            detail = f"This operation needs the scope {missing[0]}."
            raise Problem(PROBLEM_TYPES["FORBIDDEN"], detail=detail)
        bind(user_id=principal.user_id, tenant_id=principal.tenant_id)
        if self._rates is not None:
            self._rates.admit(principal.tenant_id, context)
        return principal


def _unauthenticated() -> Problem:
    headers = {"www-authenticate": "Bearer"}
    return Problem(PROBLEM_TYPES["UNAUTHENTICATED"], headers=headers)
