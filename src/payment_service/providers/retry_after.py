"""The header Retry-After: seconds, or a date.

Source: RFC 9110 §10.2.3.
"""

from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime

from payment_service.domain.clock import system_clock


def read(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait; None when the header is absent or makes no sense."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    until = _date(text)
    if until is None:
        return None
    # Against the server's own clock where it tells it: ours may differ.
    at = _date(headers.get("date", "")) or system_clock()
    return max((until - at).total_seconds(), 0.0)


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo is not None else None  # "-0000" would be in no zone
