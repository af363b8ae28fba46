"""Who may use the console: whoever knows the token, under a name of their own, for some hours.

A session is a signed cookie and nothing else, so it is good at every process, and a new token ends
them all. The name is the operator's word; it is what the audit log shows, as on the command line.
"""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import timedelta

import msgspec

from payment_service.console.exchange import Call, Refused
from payment_service.domain.clock import Clock
from payment_service.domain.quota import Quotas

COOKIE = "payments_console"
PATH = "/console"
LIFETIME = timedelta(hours=8)
NAME_MAX = 64
FAILURES_PER_MINUTE = 6  # of one address
FAILURES_AT_ONCE = 5
ADDRESSES_MAX = 1024
_PURPOSE = b"payment-service console session 1"


class SignIn(msgspec.Struct, forbid_unknown_fields=True):
    """What the form sends."""

    name: str
    token: str


class _Session(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    until: float  # seconds since 1970


class Gate:
    """Signs operators in and recognises them.

    Args:
        token: What they must know.
        clock: The world's time, however far `dev` has set the service's.
    """

    def __init__(self, token: str, clock: Clock) -> None:
        self._digest = hashlib.sha256(token.encode()).digest()
        self._key = hmac.digest(token.encode(), _PURPOSE, "sha256")
        self._clock = clock
        self._failures = Quotas(
            clock,
            per_minute=FAILURES_PER_MINUTE,
            burst=FAILURES_AT_ONCE,
            names_max=ADDRESSES_MAX,
        )

    async def sign_in(self, call: Call) -> str:
        """Let somebody in; return the cookie to set.

        Raises:
            Refused: The token is wrong, there were too many wrong ones, or the name is none.
        """
        call.must_come_from_the_page()
        given = await call.read(SignIn)
        failures = self._failures.of(call.source)
        if failures.left < 1:
            wait = {"retry-after": str(failures.seconds_until(1))}
            raise Refused(429, "Too many wrong tokens. Wait a little.", wait)
        digest = hashlib.sha256(given.token.encode()).digest()
        if not hmac.compare_digest(digest, self._digest):
            failures.take()
            raise Refused(403, "That is not the token.")
        name = given.name.strip()
        if not name or len(name) > NAME_MAX or not name.isprintable():
            raise Refused(400, f"Say who you are, in 1 to {NAME_MAX} characters.")
        until = self._clock() + LIFETIME
        value = self._seal(_Session(name, until.timestamp()))
        return _cookie(value, seconds=int(LIFETIME.total_seconds()))

    def sign_out(self, call: Call) -> str:
        """Return the cookie that takes the session away."""
        call.must_come_from_the_page()
        return _cookie("", seconds=0)

    def find_operator(self, call: Call) -> str | None:
        """Tell who calls; None if it is nobody whom we know."""
        session = self._open(call.cookie(COOKIE))
        if session is None or session.until <= self._clock().timestamp():
            return None
        return session.name

    def operator(self, call: Call) -> str:
        """Tell who calls.

        Raises:
            Refused: Nobody whom we know.
        """
        name = self.find_operator(call)
        if name is None:
            raise Refused(401, "Sign in first.")
        return name

    def _seal(self, session: _Session) -> str:
        content = urlsafe_b64encode(msgspec.json.encode(session))
        return f"{content.decode()}.{self._sign(content)}"

    def _open(self, value: str) -> _Session | None:
        content, _, signature = value.partition(".")
        if not (content.isascii() and signature.isascii()):
            return None
        if not hmac.compare_digest(self._sign(content.encode()), signature):
            return None
        # Whatever carries the signature was written by us.
        return msgspec.json.decode(urlsafe_b64decode(content), type=_Session)

    def _sign(self, content: bytes) -> str:
        return hmac.new(self._key, content, hashlib.sha256).hexdigest()


def _cookie(value: str, *, seconds: int) -> str:
    # Not Secure: the port speaks HTTP, and is reached over the loopback or behind a TLS proxy.
    return f"{COOKIE}={value}; Path={PATH}; Max-Age={seconds}; HttpOnly; SameSite=Strict"
