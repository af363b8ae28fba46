"""payOS signatures: three ways to turn values into text, one HMAC-SHA256.

The checksum key is used as text, though it looks like hexadecimal. Where the official SDKs
disagree, docs/decisions/0010 says what we do. Source: official SDKs payos 1.1.0 (PyPI) and
@payos/node 2.0.5 (npm), measured 2026-11.
"""

import hmac
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

_CREATE_FIELDS = ("amount", "cancelUrl", "description", "orderCode", "returnUrl")
_UNRESERVED = "-_.!~*'()"  # what JavaScript's encodeURIComponent leaves alone


def sign_create(request: Mapping[str, Any], key: str) -> str:
    """Sign a payment link request: five fields, in this order, raw."""
    return _hmac("&".join(f"{name}={request[name]}" for name in _CREATE_FIELDS), key)


def sign_data(data: Mapping[str, Any], key: str) -> str:
    """Sign `data` of a response or webhook: every member as received, sorted, raw."""
    return _hmac(canonical_data(data), key)


def sign_payout(body: Mapping[str, Any], key: str) -> str:
    """Sign a payout request or the `data` of a payout response: sorted and percent-encoded."""
    members = [f"{_encode(name)}={_encode(_deep_text(body[name]))}" for name in _sorted_names(body)]
    return _hmac("&".join(members), key)


def matches(expected: str, given: object) -> bool:
    """Compare in constant time; anything that is not text never matches."""
    if not isinstance(given, str) or not given.isascii():
        return False
    return hmac.compare_digest(expected, given)


def is_ambiguous(data: Mapping[str, Any]) -> bool:
    """Tell whether other members could have given the same signed text.

    Nothing in that text is escaped. But without separators in names and values it can be cut into
    members in one way only, and a member cannot be named twice.
    """
    return any(
        _has_separator(name)
        or isinstance(value, dict | list)
        or (isinstance(value, str) and _has_separator(value))
        for name, value in data.items()
    )


def _has_separator(text: str) -> bool:
    return "&" in text or "=" in text


def canonical_data(data: Mapping[str, Any]) -> str:
    """Write `data` as the text that is signed."""
    return "&".join([f"{name}={_text(data[name])}" for name in _sorted_names(data)])


def _hmac(message: str, key: str) -> str:
    return hmac.digest(key.encode(), message.encode("utf-8", "surrogatepass"), "sha256").hex()


def _sorted_names(members: Mapping[str, Any]) -> list[str]:
    """Sort as JavaScript does: by UTF-16 code unit, which for ASCII is how Python does."""
    if "".join(members).isascii():
        return sorted(members)
    return sorted(members, key=lambda name: name.encode("utf-16-be", "surrogatepass"))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return "" if value in ("null", "undefined") else value
    if value is None:
        return ""
    if isinstance(value, list):
        return _json([_sorted_once(element) for element in value])
    return _scalar(value)


def _deep_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict | list):
        return _json(_sorted_deep(value))
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, dict):
        return _json(value)
    return str(value)


def _sorted_once(element: Any) -> Any:
    if not isinstance(element, dict):
        return element
    return {name: element[name] for name in _sorted_names(element)}


def _sorted_deep(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted_deep(value[name]) for name in _sorted_names(value)}
    if isinstance(value, list):
        return [_sorted_deep(member) for member in value]
    return value


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _encode(text: str) -> str:
    return quote(text, safe=_UNRESERVED, errors="surrogatepass")
