"""Data of people, sealed before it reaches the database: AES-256-GCM, under keys with names.

The first key seals; every key opens. To rotate: put the new one in front, leave the old one until
nothing is sealed with it any more, then take it away. What was sealed for one column opens in no
other. A sealed value is: the length of the key's name, the name, 12 random bytes, the ciphertext.
Source: NIST SP 800-38D (a key seals at most 2**32 values with random nonces).
"""

import base64
import binascii
import secrets
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NAME_LENGTH_MAX = 16
_NONCE_BYTES = 12


class CannotOpen(Exception):
    """No key opens it: it is missing, or the value was changed or belongs to another column."""


class Keyring:
    """Named keys; `keys` in order, the first seals."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        assert keys, "a key is needed"
        self._keys = {name.encode(): AESGCM(key) for name, key in keys.items()}
        self._first = next(iter(self._keys))

    @classmethod
    def parse(cls, text: str) -> "Keyring":
        """Read `name:key,name:key`; a key is 32 bytes in base64.

        Raises:
            ValueError: It is not that; the message has no part of a key.
        """
        keys: dict[str, bytes] = {}
        for entry in filter(None, (part.strip() for part in text.split(","))):
            name, _, encoded = entry.partition(":")
            if not name.isalnum() or not name.isascii() or len(name) > NAME_LENGTH_MAX:
                raise ValueError(f"a key's name is 1 to {NAME_LENGTH_MAX} letters and digits")
            if name in keys:
                raise ValueError(f"two keys are called {name}")
            try:
                keys[name] = base64.b64decode(encoded, altchars=b"-_", validate=True)
            except (binascii.Error, ValueError):
                keys[name] = b""
            if len(keys[name]) != KEY_BYTES:
                raise ValueError(f"the key {name} is not {KEY_BYTES} bytes in base64")
        if not keys:
            raise ValueError("no key is given")
        return cls(keys)

    def seal(self, data: bytes, purpose: str) -> bytes:
        """Encrypt for a purpose."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._keys[self._first].encrypt(nonce, data, purpose.encode())
        return bytes([len(self._first)]) + self._first + nonce + sealed

    def open(self, sealed: bytes, purpose: str) -> bytes:
        """Decrypt what was sealed for the same purpose.

        Raises:
            CannotOpen: See there.
        """
        start = 1 + sealed[0]
        key = self._keys.get(sealed[1:start])
        if key is None:
            raise CannotOpen("the key is not known here")
        nonce, content = sealed[start : start + _NONCE_BYTES], sealed[start + _NONCE_BYTES :]
        try:
            return key.decrypt(nonce, content, purpose.encode())
        except (InvalidTag, ValueError) as error:
            raise CannotOpen("the value was changed, or belongs elsewhere") from error


def new_key() -> str:
    """Make a key as `Keyring.parse` reads it, named after nothing."""
    name = secrets.token_hex(4)
    return f"{name}:{base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode()}"
