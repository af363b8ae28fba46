"""payOS's three signatures, written apart from the service's: one checks the other.

Source: official SDKs payos 1.1.0 (PyPI) and @payos/node 2.0.5 (npm).
"""

import hashlib
import hmac
import json
from typing import Any
from urllib.parse import quote

NODE_SAFE = "-_.!~*'()"  # encodeURIComponent
PYTHON_SAFE = "/~"  # urllib.parse.quote with its defaults


def _digest(message: str, key: str) -> str:
    raw = message.encode("utf-8", "surrogatepass")
    return hmac.new(key.encode(), raw, hashlib.sha256).hexdigest()


def of_create_request(body: dict[str, Any], key: str) -> str:
    """Sign what a payment link request must sign."""
    names = ("amount", "cancelUrl", "description", "orderCode", "returnUrl")
    return _digest("&".join(f"{name}={body.get(name)}" for name in names), key)


def of_data(data: dict[str, Any], key: str) -> str:
    """Sign the `data` of a response or a webhook."""
    parts = []
    for name in sorted(data):
        value = data[name]
        if value is None or value in ("null", "undefined"):
            value = ""
        elif isinstance(value, bool):
            value = str(value).lower()
        elif isinstance(value, list):
            value = _compact([_sorted(item) if isinstance(item, dict) else item for item in value])
        parts.append(f"{name}={value}")
    return _digest("&".join(parts), key)


def of_payout(value: dict[str, Any], key: str, *, safe: str = NODE_SAFE) -> str:
    """Sign a payout request or the `data` of its answer."""
    parts = []
    for name, member in _sorted_deep(value).items():
        text = "" if member is None else member
        if isinstance(text, bool):
            text = str(text).lower()
        elif isinstance(text, list | dict):
            text = _compact(text)
        parts.append(f"{quote(name, safe=safe)}={quote(str(text), safe=safe)}")
    return _digest("&".join(parts), key)


def payout_variant(body: dict[str, Any], given: str, key: str) -> str | None:
    """Tell which SDK's percent-encoding a payout request was signed with, if any."""
    for name, safe in (("node", NODE_SAFE), ("python", PYTHON_SAFE)):
        if hmac.compare_digest(of_payout(body, key, safe=safe), given):
            return name
    return None


def _sorted(value: dict[str, Any]) -> dict[str, Any]:
    return {name: value[name] for name in sorted(value)}


def _sorted_deep(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted_deep(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return [_sorted_deep(item) for item in value]
    return value


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
