"""The keys that tokens are checked with: read from a JWKS address, kept, and read anew in time.

Keys are found by name among those that were read; no word of a token is ever followed. While the
address does not answer, the keys that are known go on serving, for a bounded time. A name that is
not known may be a new key, so it leads to one reading, and those are rare whatever callers send.
Source: RFC 7517; RFC 8725 sections 2.1 and 3.10.
"""

import asyncio
import json
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import jwt

from payment_service.domain.clock import Clock
from payment_service.telemetry.logging import get_logger

log = get_logger(__name__)

FRESH = timedelta(minutes=5)  # so long a withdrawn key may still be taken
KEPT = timedelta(hours=6)  # so long when the address does not answer
BETWEEN_READINGS = timedelta(seconds=10)
TIMEOUT_SECONDS = 3.0
BYTES_MAX = 256 * 1024
KEYS_MAX = 50
NAME_LENGTH_MAX = 256
RSA_BITS_MIN = 2048
ALGORITHMS = {"RSA": ("RS256", "PS256"), "EC": ("ES256",), "OKP": ("EdDSA",)}
"""By kind of key. A symmetric key has no place in a public list."""

Read = Callable[[], bytes]


class KeysUnavailable(Exception):
    """No key is known, and the address does not answer."""


@dataclass(frozen=True, slots=True)
class Key:
    """A public key, and what it may be used for."""

    key: Any
    algorithms: tuple[str, ...]


class KeySet:
    """The keys at an address; `read` gets the document, blocking, within its own time."""

    def __init__(self, read: Read, clock: Clock) -> None:
        self._read = read
        self._clock = clock
        self._keys: dict[str | None, Key] = {}
        self._read_at: datetime | None = None  # when the keys were read
        self._tried_at: datetime | None = None
        self._reading: asyncio.Task[None] | None = None

    async def find(self, name: str | None) -> Key | None:
        """Find a key; a token that names none gets the only one, if there is only one.

        Raises:
            KeysUnavailable: See there.
        """
        if self._age() > KEPT:
            await self._refresh()
            if self._age() > KEPT:
                raise KeysUnavailable("The keys for tokens cannot be read.")
        elif self._age() > FRESH:
            self._start()  # known keys serve meanwhile
        key = self._choose(name)
        if key is None and name is not None:
            await self._refresh()
            key = self._choose(name)
        return key

    async def check(self) -> None:
        """Return if there are keys to work with.

        Raises:
            KeysUnavailable: See there.
        """
        await self.find(None)

    def _choose(self, name: str | None) -> Key | None:
        if name is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(name)

    def _age(self) -> timedelta:
        return timedelta.max if self._read_at is None else self._clock() - self._read_at

    async def _refresh(self) -> None:
        self._start()
        if self._reading is not None:
            await asyncio.shield(self._reading)

    def _start(self) -> None:
        """Begin to read, unless that is under way or was tried a moment ago."""
        now = self._clock()
        if self._reading is not None and not self._reading.done():
            return
        if self._tried_at is not None and now - self._tried_at < BETWEEN_READINGS:
            return
        self._tried_at = now
        self._reading = asyncio.create_task(self._read_keys())

    async def _read_keys(self) -> None:
        try:
            keys = parse(await asyncio.to_thread(self._read))
        except Exception as error:  # noqa: BLE001  # whatever it is, the known keys go on serving
            log.warning("auth.keys_unreadable", error=type(error).__name__, known=len(self._keys))
            return
        self._keys, self._read_at = keys, self._clock()


def parse(document: bytes) -> dict[str | None, Key]:
    """Read a JWKS document; what we cannot use in it is left out.

    Raises:
        ValueError: It is no such document, or nothing in it can be used.
    """
    match json.loads(document):
        case {"keys": [*entries]}:
            usable = [(entry, _usable(entry)) for entry in entries[:KEYS_MAX]]
        case _:
            raise ValueError("not a key set")
    found = {entry.get("kid"): key for entry, key in usable if key is not None}
    if not found:
        raise ValueError("no usable key")
    return found


def _usable(entry: Any) -> Key | None:
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    name = entry.get("kid")
    if name is not None and not (isinstance(name, str) and 0 < len(name) <= NAME_LENGTH_MAX):
        return None
    algorithms = ALGORITHMS.get(str(entry.get("kty")), ())
    if "alg" in entry:
        algorithms = tuple(each for each in algorithms if each == entry["alg"])
    if not algorithms:
        return None
    try:
        key = jwt.PyJWK(entry, algorithm=algorithms[0]).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    if getattr(key, "key_size", RSA_BITS_MIN) < RSA_BITS_MIN and entry["kty"] == "RSA":
        return None
    return Key(key, algorithms)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The address is the operator's word; whoever answers there cannot change it."""

    def redirect_request(self, *_arguments: Any) -> None:
        return None


def reader_of(url: str) -> Read:
    """Make what reads an address, within bounds of time and size, without redirects."""
    opener = urllib.request.build_opener(_NoRedirects)

    def read() -> bytes:
        with opener.open(url, timeout=TIMEOUT_SECONDS) as response:
            document: bytes = response.read(BYTES_MAX + 1)
        if len(document) > BYTES_MAX:
            raise ValueError("too long")
        return document

    return read
