"""Patterns: the same for every engine, and never slow."""

import pytest

from codegen import patterns
from codegen.model import Unsupported


@pytest.mark.parametrize(
    "pattern",
    [
        "^[a-z]{3}$", "^pay_[0-9a-hjkmnp-tv-z]{26}$", r"^[A-Z][A-Z0-9_]*$", r"^\+[0-9]{1,9}$",
        r'^("[!#-\[\]-~]{1,255}"|[!#-\[\]-~]{1,255})$', "^https?://[a-z]{1,9}(:[0-9]{1,5})?$",
        "^[^&=]*$", r"^(a|b(c|d))$",
    ],
)  # fmt: skip
def test_portable_patterns_are_accepted(pattern):
    patterns.check(pattern, "here")


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("[a-z]{3}$", "anchored"), ("^[a-z]{3}", "anchored"), (r"^a\$", "anchored"),
        ("^a|b$", "alternatives"), (r"^\d+$", "engines"), (r"^\w$", "engines"),
        (r"^(a)\1$", "engines"), ("^(?=a)b$", "look-around"), ("^(?:a)$", "look-around"),
        ("^(a+)+$", "repetition"), ("^(a*)*$", "repetition"), ("^(a{1,9}){2,}$", "repetition"),
        ("^((a+)b)*$", "repetition"), ("^(a$", "no regular expression"), ("^[z-a]$", "no regular"),
    ],
)  # fmt: skip
def test_patterns_that_are_loose_foreign_or_slow_are_refused(pattern, why):
    with pytest.raises(Unsupported, match=why):
        patterns.check(pattern, "here")


@pytest.mark.parametrize(
    ("pattern", "bounded"),
    [
        ("^[a-z]{3}$", True), ("^[a-z]{1,3}?$", True), (r"^[*+]\+\*$", True), ("^(a|bc)?$", True),
        ("^a*$", False), ("^a+$", False), ("^a{2,}$", False), ("^([*]|b+)$", False),
    ],
)  # fmt: skip
def test_a_pattern_is_bounded_if_no_part_repeats_without_end(pattern, bounded):
    assert patterns.is_bounded(pattern) is bounded
