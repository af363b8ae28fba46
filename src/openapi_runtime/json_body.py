"""Reads JSON strictly: what two readers could understand differently is refused."""

import re
from typing import Any

import msgspec

# Every string of the text; the group is filled when it is the name of a member.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"(\s*:)?')
_EXACT_MAX = 2**53


class MalformedJson(ValueError):
    """The text is not JSON that everybody reads alike."""


def _number(text: str) -> int | float:
    """Read 250000.0 and 1e3 as the integers that JSON Schema takes them for."""
    number = float(text)
    if number in {float("inf"), float("-inf")}:
        raise ValueError("number out of range")
    if number.is_integer() and abs(number) <= _EXACT_MAX:
        return int(number)
    return number


_decode = msgspec.json.Decoder(float_hook=_number).decode


def loads(value: bytes, **_parameters: Any) -> Any:
    """Decode JSON for openapi-core. NaN, a BOM, broken UTF-8 and lone surrogates are refused.

    Raises:
        ValueError: It is not JSON.
    """
    try:
        return _decode(value)
    except (msgspec.DecodeError, RecursionError) as error:
        raise MalformedJson("not JSON, or nested too deep") from error


def refuse_repeated_members(text: bytes, document: Any) -> None:
    """Refuse a member that is named twice: the decoder kept the last, another might keep the first.

    Counts names in the text against names in the document, which is cheaper than decoding twice.

    Raises:
        MalformedJson: An object names a member twice.
    """
    named = len(list(filter(None, _STRING.findall(text))))
    if named != _count_members(document):
        raise MalformedJson("a member is named twice")


def _count_members(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum(map(_count_members, value.values()))
    if isinstance(value, list):
        return sum(map(_count_members, value))
    return 0
