"""Who is calling: a JSON Web Token with a tenant and scopes.

Source: RFC 7519, RFC 8725 (fixed algorithms, required claims), RFC 6750 (scope as a list of words).
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from generated.api.problems import PROBLEM_TYPES
from openapi_runtime.operations import Context
from openapi_runtime.problems import Problem
from payment_service.telemetry.logging import bind

LEEWAY = timedelta(seconds=30)
CLAIM_LENGTH_MAX = 64
TOKEN_LENGTH_MAX = 8192
JWKS_TIMEOUT_SECONDS = 3
JWKS_LIFESPAN_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller, and the tenant it acts for."""

    tenant_id: str
    user_id: str
    scopes: frozenset[str]


class TokenVerifier:
    """Checks tokens against a shared secret or the keys at a JWKS address."""

    def __init__(
        self, *, secret: str | None, jwks_url: str | None, issuer: str, audience: str
    ) -> None:
        self._secret = secret
        self._issuer = issuer
        self._audience = audience
        self._jwks = None
        if jwks_url is not None:
            self._jwks = jwt.PyJWKClient(
                jwks_url, timeout=JWKS_TIMEOUT_SECONDS, lifespan=JWKS_LIFESPAN_SECONDS
            )

    async def verify(self, token: str) -> Principal:
        """Check a token.

        Raises:
            jwt.PyJWTError: It is not valid; why is not for the caller to know.
        """
        if self._jwks is None:
            key: Any = self._secret
            algorithms = ["HS256"]
        else:
            # Blocking, and rarely: keys are kept for minutes.
            found = await asyncio.to_thread(self._jwks.get_signing_key_from_jwt, token)
            key, algorithms = found.key, ["RS256", "ES256", "EdDSA"]
        claims = jwt.decode(
            token,
            key,
            algorithms=algorithms,
            issuer=self._issuer,
            audience=self._audience,
            leeway=LEEWAY,
            options={"require": ["exp", "iat", "sub", "tenant_id"]},
        )
        return Principal(
            tenant_id=_name(claims, "tenant_id"),
            user_id=_name(claims, "sub"),
            scopes=frozenset(str(claims.get("scope", "")).split()),
        )


def _name(claims: dict[str, Any], claim: str) -> str:
    value = claims.get(claim)
    if not isinstance(value, str) or not 0 < len(value) <= CLAIM_LENGTH_MAX:
        raise jwt.InvalidTokenError(claim)
    if not value.isascii() or not value.isprintable():
        raise jwt.InvalidTokenError(claim)
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

    def __init__(self, verifier: TokenVerifier) -> None:
        self._verifier = verifier

    async def bearer_auth(
        self, context: Context, credential: str, scopes: tuple[str, ...], /
    ) -> Principal:
        """Check the bearer token and the operation's scopes."""
        if not credential or len(credential) > TOKEN_LENGTH_MAX:
            raise _unauthenticated()
        try:
            principal = await self._verifier.verify(credential)
        except jwt.PyJWTError as error:
            raise _unauthenticated() from error
        missing = [scope for scope in scopes if scope not in principal.scopes]
        if missing:
            detail = f"This operation needs the scope {missing[0]}."
            raise Problem(PROBLEM_TYPES["FORBIDDEN"], detail=detail)
        bind(user_id=principal.user_id, tenant_id=principal.tenant_id)
        return principal


def _unauthenticated() -> Problem:
    headers = {"www-authenticate": "Bearer"}
    return Problem(PROBLEM_TYPES["UNAUTHENTICATED"], headers=headers)
