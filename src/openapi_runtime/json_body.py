"""Reads JSON strictly: what two readers could understand differently is refused.

Refused are: anything but UTF-8, a BOM, lone surrogates, NaN and Infinity, numbers that no reader
keeps (1e400, or 0.99999999999999999999, which most readers take for 1), text after the document,
and nesting deeper than any honest document. Repeated members are a step of their own.
"""

import re
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

DEPTH_MAX = 32
_EXACT_MAX = 2**53
# Every string of the text; the group is filled when it is the name of a member.
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"(\s*:)?')


class MalformedJson(ValueError):
    """The text is not JSON that everybody reads alike."""


def loads(value: bytes) -> Any:
    """Decode JSON.

    Raises:
        MalformedJson: See the module.
    """
    try:
        document = _decode(value)
    except (ValueError, RecursionError) as error:
        raise MalformedJson("The body is not JSON.") from error
    # A document cannot be deeper than it has brackets, and almost none has so many.
    if value.count(b"{") + value.count(b"[") > DEPTH_MAX and _is_too_deep(document):
        raise MalformedJson(f"The body is nested deeper than {DEPTH_MAX} levels.")
    return document


def refuse_repeated_members(text: bytes, document: Any) -> None:
    """Refuse a member that is named twice: the decoder kept the last, another might keep the first.

    Counts names in the text against names in the document, which is cheaper than decoding twice.

    Raises:
        MalformedJson: An object names a member twice.
    """
    named = _STRING.sub(_mark_name, text).count(b"\x00") if b"\\" in text else _count_names(text)
    if named != _count_members(document):
        raise MalformedJson("A member is named twice.")


def _count_names(text: bytes) -> int:
    return len(text)


def _mark_name(match: "re.Match[bytes]") -> bytes:
    return b"\x00" if match[1] else b""


def _number(text: str) -> int | float:
    """Read 250000.0 and 1e3 as the integers that JSON Schema takes them for."""
    number = float(text)
    if number in {float("inf"), float("-inf")}:
        raise ValueError("number out of range")
    if not number.is_integer() or abs(number) > _EXACT_MAX:
        return number
    try:
        is_exact = Decimal(text) == int(number)
    except InvalidOperation:  # an exponent beyond reason
        is_exact = False
    if not is_exact:
        raise ValueError("a number that would silently become another")
    return int(number)


_decode = msgspec.json.Decoder(float_hook=_number).decode


def _is_too_deep(document: Any) -> bool:
    level = [document]
    for _ in range(DEPTH_MAX + 1):
        level = [
            member
            for value in level
            if isinstance(value, dict | list)
            for member in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return False
    return True


def _count_members(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum(map(_count_members, value.values()))
    if isinstance(value, list):
        return sum(map(_count_members, value))
    return 0
