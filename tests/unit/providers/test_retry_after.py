"""Retry-After in both its forms, and in none."""

import pytest

from payment_service.providers import retry_after

AT = "Tue, 24 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "0"}, 0),
        ({"retry-after": " 30 "}, 30),
        ({"retry-after": "9" * 400}, 999_999_999),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "1.5"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Tue, 24 Nov 2026 10:00:30 GMT", "date": AT}, 30),
        ({"retry-after": "Tuesday, 24-Nov-26 10:00:30 GMT", "date": AT}, 30),
        ({"retry-after": "Tue, 24 Nov 2026 09:00:00 GMT", "date": AT}, 0),
        ({"retry-after": "Tue, 24 Nov 2026 10:00:30 -0000", "date": AT}, None),
        ({"retry-after": "Tue, 99 Nov 2026 10:00:30 GMT", "date": AT}, None),
        ({"retry-after": "Fri, 24 Nov 1995 10:00:30 GMT"}, 0),
        ({"retry-after": "Fri, 24 Nov 1995 10:00:30 GMT", "date": "yesterday"}, 0),
    ],
)
def test_retry_after_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after.read(headers) == seconds
