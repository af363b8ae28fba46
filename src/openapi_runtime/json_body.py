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
_ESCAPE = re.compile(rb"\\.")


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


def load_trusted(value: bytes) -> Any:
    """Decode a document of our own, of any depth."""
    return msgspec.json.decode(value)


def refuse_repeated_members(text: bytes, document: Any) -> None:
    """Refuse a member that is named twice: the decoder kept the last, another might keep the first.

    Counts the names in the text against those in the document: outside of strings a colon stands
    after a name and nowhere else. That is exact, and a tenth of the price of a second decoder.

    Raises:
        MalformedJson: An object names a member twice.
    """
    if b"\\" in text:
        text = _ESCAPE.sub(b"", text)  # an escaped quote ends no string
    outside_strings = b"".join(text.split(b'"')[::2])
    if outside_strings.count(b":") != _count_members(document):
        raise MalformedJson("A member is named twice.")


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


def _count_members(document: Any) -> int:
    """Count the members of all objects; without recursion, which is slower."""
    count = 0
    rest = [document]
    while rest:
        value = rest.pop()
        if type(value) is dict:
            count += len(value)
            rest.extend([v for v in value.values() if type(v) is dict or type(v) is list])
        elif type(value) is list:
            rest.extend(value)
    return count
