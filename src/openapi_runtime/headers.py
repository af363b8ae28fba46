"""Header fields: looked up without regard to case, and checked before they are sent."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

# RFC 9110 section 5: a token as the name, no control characters in the value. One line feed here
# would let a stored value write a second response.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class Headers(Mapping[str, str]):
    """A request's or response's headers, case-insensitive; of repeated ones the first counts."""

    __slots__ = ("_first", "raw")

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        self.raw = raw
        self._first = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in reversed(raw)}

    @classmethod
    def of_text(cls, headers: dict[str, str]) -> "Headers":
        """Wrap headers that are text already, their names in lower case."""
        made = cls([])
        made._first = headers
        return made

    def __getitem__(self, name: str) -> str:
        return self._first[name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._first

    def get(self, name: str, default: Any = None) -> Any:
        """Return a header's value or a default."""
        return self._first.get(name.lower(), default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._first)

    def __len__(self) -> int:
        return len(self._first)

    def is_repeated(self, name: str) -> bool:
        """Tell whether a header was sent more than once."""
        if len(self.raw) == len(self._first):
            return False
        wanted = name.lower().encode("latin-1")
        return sum(1 for key, _ in self.raw if key.lower() == wanted) > 1


def find_unsendable(headers: Mapping[str, str]) -> str | None:
    """Return the name of a header that must not be sent as it is, or None."""
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            return "a header's name"
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            return name
    return None
