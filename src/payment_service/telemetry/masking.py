"""Keeps secrets and people's data out of logs, whoever logs them and however deep they sit."""

import re
from functools import lru_cache
from itertools import islice
from types import NoneType
from typing import Any, Self

import structlog
from structlog.typing import EventDict

MASK = "***"
DEPTH_MAX = 4
NAMES_MAX = 512  # of fields, remembered
ITEMS_MAX = 50
TEXT_MAX = 16_384  # characters of one field; a traceback fits

_SECRET_WORDS = (
    "authorization", "api_key", "apikey", "checksum", "signature", "password", "passwd", "secret",
    "token", "account_number", "accountnumber", "account_name", "accountname", "payload", "body",
    "credential", "cookie",
)  # fmt: skip
_SHOWN_FROM_LENGTH = 8  # below, four characters would give away half of it
_URL_CREDENTIALS = re.compile(r"(?<=://)[^\s/@]+(?=@)")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")
_SQL_PARAMETERS = re.compile(r"\[parameters: .*?\](?=\n|$)", re.DOTALL)


class Masked(str):
    """A text that shows only its last four characters, wherever it is written.

    As a string it *is* the mask, so `str`, `repr`, formatting, JSON and comparison all see the
    mask; only `reveal` gives the text.
    """

    __slots__ = ("_secret",)
    _secret: str

    def __new__(cls, secret: str) -> Self:
        """Mask a text; one of less than eight characters shows nothing."""
        if isinstance(secret, cls):
            return secret
        shown = secret[-4:] if len(secret) >= _SHOWN_FROM_LENGTH else ""
        masked = super().__new__(cls, MASK + shown)
        masked._secret = secret
        return masked

    def reveal(self) -> str:
        """Return the text itself."""
        return self._secret


# Tuples: every field of every line is asked, and a union takes four times as long.
_CONTAINERS = (dict, list, tuple, set, frozenset)
_SHOWN = (bool, Masked)
_NUMBERS = (int, float)
_HARMLESS = frozenset({int, float, bool, NoneType})
_BYTES = (bytes, bytearray, memoryview)


def mask_event(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Mask the fields of a log event; a processor of structlog."""
    secret = _secrets_among(tuple(event))
    for name, value in event.items():
        if name not in secret and _is_harmless(value):
            continue
        if not name.startswith("_") and name != "exc_info":
            event[name] = _mask(name, value, 0)
    return event


def _is_harmless(value: Any) -> bool:
    """Tell what is so at a glance: most of what is logged are numbers and ids."""
    if type(value) is str:
        return " " not in value and "/" not in value and len(value) <= TEXT_MAX
    return type(value) in _HARMLESS


def mask_exception(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Write an exception as one field, without the credentials and parameters in its text."""
    event = structlog.processors.format_exc_info(_logger, _method, event)
    if isinstance(event.get("exception"), str):
        event["exception"] = scrub(event["exception"])
    return event


def scrub(text: str) -> str:
    """Mask credentials in URLs and headers, and the parameters of SQL; cut at `TEXT_MAX`."""
    text = text if len(text) <= TEXT_MAX else text[:TEXT_MAX] + "..."
    if "://" in text:
        text = _URL_CREDENTIALS.sub(MASK, text)
    if " " not in text:  # as ids and the names of things are
        return text
    if "[parameters: " in text:
        text = _SQL_PARAMETERS.sub(f"[parameters: {MASK}]", text)
    return _BEARER.sub(rf"\1 {MASK}", text)


def _mask(name: str, value: Any, depth: int) -> Any:
    if type(value) is str:
        return MASK if _is_secret(name) else scrub(value)
    if value is None or isinstance(value, _SHOWN):
        return value
    if _is_secret(name):
        return MASK
    if isinstance(value, _CONTAINERS):
        return _mask_inside(value, depth + 1) if depth < DEPTH_MAX else "..."
    if isinstance(value, _BYTES):
        return f"<{len(value)} bytes>"
    return value if isinstance(value, _NUMBERS) else scrub(str(value))


def _mask_inside(value: Any, depth: int) -> Any:
    if isinstance(value, dict):
        items = islice(value.items(), ITEMS_MAX)
        return {str(name): _mask(str(name), inner, depth) for name, inner in items}
    return [_mask("", inner, depth) for inner in islice(value, ITEMS_MAX)]


@lru_cache(maxsize=NAMES_MAX)
def _secrets_among(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(filter(_is_secret, names))


@lru_cache(maxsize=NAMES_MAX)
def _is_secret(name: str) -> bool:
    plain = name.lower().replace("-", "_")
    return any(word in plain for word in _SECRET_WORDS)
