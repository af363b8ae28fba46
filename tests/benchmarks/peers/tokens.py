"""Who calls a peer."""

import os

import jwt

SECRET = os.environ["AUTH_SECRET"]
AUDIENCE, ISSUER = os.environ["PAYMENTS_AUTH_AUDIENCE"], os.environ["PAYMENTS_AUTH_ISSUER"]


def tenant_of(token: str) -> str:
    """Check a token; return its tenant.

    Raises:
        InvalidTokenError: It is not good.
    """
    claims = jwt.decode(token, SECRET, algorithms=["HS256"], audience=AUDIENCE, issuer=ISSUER)
    return str(claims["tenant_id"])
