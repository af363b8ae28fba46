"""Refuses regular expressions that engines read differently, or that take for ever.

A pattern runs in Rust (validation), in Python (structs) and in the clients' languages.
"""

import re

from codegen.model import Unsupported

_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]")
_ESCAPE = re.compile(r"\\.")
_GROUP = re.compile(r"\(([^()]*)\)([*+?]|\{[0-9]*,?[0-9]*\})?")
_ENDLESS = re.compile(r"[*+]|\{[0-9]+,\}")
_REPEATING = re.compile(r"[*+]|\{[0-9]+,?[0-9]*\}")


def check(pattern: str, where: str) -> None:
    """Refuse a pattern that is not anchored, not portable or not safe.

    Raises:
        Unsupported: See there.
    """
    try:
        re.compile(pattern)
    except re.error as error:
        raise Unsupported(where, f"is no regular expression: {error}") from error
    if not (pattern.startswith("^") and pattern.endswith("$")) or pattern.endswith(r"\$"):
        raise Unsupported(where, "a pattern is anchored at both ends: ^...$")
    if re.search(r"\\[A-Za-z0-9]", pattern):
        raise Unsupported(where, "engines differ on classes like \\d and on back references")
    rest = _reduced(pattern)
    if "(?" in rest:
        raise Unsupported(where, "engines differ on look-around and flags")
    _check_groups(rest[1:-1], where)


def is_bounded(pattern: str) -> bool:
    """Tell whether only texts up to some length match."""
    return _ENDLESS.search(_reduced(pattern)) is None


def _reduced(pattern: str) -> str:
    """Replace classes and escaped characters by a letter, so that what is left is structure."""
    return _ESCAPE.sub("E", _CLASS.sub("C", pattern))


def _check_groups(structure: str, where: str) -> None:
    """Take groups away from the inside out, looking at what repeats what."""
    while match := _GROUP.search(structure):
        inside, repeated = match[1], match[2] or ""
        if _ENDLESS.fullmatch(repeated) and _REPEATING.search(inside):
            raise Unsupported(where, "a repetition of a repetition may take for ever")
        kept = "C" + (repeated if not _ENDLESS.search(inside) else "*")
        structure = structure[: match.start()] + kept + structure[match.end() :]
    if "|" in structure:
        raise Unsupported(where, "alternatives belong into a group, or one of them is not anchored")
