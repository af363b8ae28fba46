"""The header Stripe-Signature: `t=<Unix seconds>,v1=<HMAC-SHA256 of "t.body">[,v1=...]`.

Source: Stripe webhook guide, "Verify signatures manually", 2026-10. Other schemes do not count:
`v0` is for test events of the dashboard.
"""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

TOLERANCE = timedelta(minutes=5)
"""How old a signature may be: as in the official SDKs. Each delivery is signed anew."""

_TEXT_MAX = 4096
_SIGNATURES_MAX = 8  # one for each secret that is valid at once
_DIGITS_MAX = 12


def is_valid(header: str, body: bytes, secrets: Sequence[str], *, now: datetime) -> bool:
    """Tell whether one of the secrets signed the body, not long ago."""
    signed_at, given = _read(header)
    if signed_at is None or now - signed_at > TOLERANCE:
        return False
    stamped = str(int(signed_at.timestamp())).encode() + b"." + body
    # Every pair is compared, so that the time taken does not tell which one fits.
    fits = [
        hmac.compare_digest(_sign(stamped, secret), signature)
        for secret in secrets
        for signature in given
    ]
    return any(fits)


def _sign(stamped: bytes, secret: str) -> bytes:
    return hmac.new(secret.encode(), stamped, hashlib.sha256).hexdigest().encode()


def _read(header: str) -> tuple[datetime | None, list[bytes]]:
    signed_at: datetime | None = None
    given: list[bytes] = []
    for item in header[:_TEXT_MAX].split(","):
        name, _, value = item.strip().partition("=")
        is_number = value.isascii() and value.isdigit() and len(value) <= _DIGITS_MAX
        if name == "t" and is_number and signed_at is None:
            signed_at = _time(int(value))
        elif name == "v1" and len(given) < _SIGNATURES_MAX:
            given.append(value.encode("utf-8", "surrogatepass"))
    return signed_at, given


def _time(seconds: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
