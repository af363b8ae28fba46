"""Strict JSON: every reader must understand the same."""

import json
import random

import pytest

from openapi_runtime.json_body import DEPTH_MAX, MalformedJson, loads, refuse_repeated_members


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"nul", b"{} {}", b"{'a':1}", b"[1,]", b"NaN", b"[Infinity]", b"[-Infinity]",
        b"[1e400]", b"[0.99999999999999999999]", b"[45000.0000000000000001]", b"[1.0e]", b"[01]",
        b"\xef\xbb\xbf{}", b'["\xff"]', b'["\\ud800"]', b'["\\udc00x"]', b'"\x01"',
        '{"a":1}'.encode("utf-16"), b"[" * 50_000,
    ],
)  # fmt: skip
def test_text_that_readers_take_differently_is_refused(text):
    with pytest.raises(MalformedJson):
        loads(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"[250000.0]", 250000), (b"[1e3]", 1000), (b"[-0.0]", 0), (b"[1.5]", 1.5),
        (b"[9007199254740993]", 9007199254740993), (b"[1E+2]", 100),
    ],
)  # fmt: skip
def test_numbers_are_what_json_schema_takes_them_for(text, value):
    read = loads(text)

    assert read == [value]
    assert type(read[0]) is type(value)


def test_nesting_is_allowed_to_the_bound_and_no_deeper():
    deepest = b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1)

    loads(deepest)
    with pytest.raises(MalformedJson, match="nested"):
        loads(b"[" + deepest + b"]")


def test_many_brackets_side_by_side_are_not_deep():
    assert len(loads(b"[" + b"{}," * 1000 + b"{}]")) == 1001


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1,"a":1}', b'{"a" : 1, "b":{"x":1,"y":2,"x":3}}', b'[{"a":1,"\\u0061":2}]',
        b'{"a\\"":1,"a\\"":2}', b'{"":0,"":0}', b'{"\\\\":1,"\\\\":2}',
    ],
)  # fmt: skip
def test_a_member_named_twice_is_refused(text):
    with pytest.raises(MalformedJson, match="twice"):
        refuse_repeated_members(text, loads(text))


@pytest.mark.parametrize(
    "text",
    [
        b"{}", b'{"a":"b:c","url":"https://x:1/{\\"k\\":2}"}', b'["a:",":b",{"c":[{"d":":"}]}]',
        b'{"q":"\\\\","r":"\\\\\\":"}', b'"a:b"', b"5", b'{"a":{"a":{"a":1}}}',
    ],
)  # fmt: skip
def test_distinct_members_pass_whatever_their_values_hold(text):
    refuse_repeated_members(text, loads(text))


def test_repeated_members_are_found_exactly_as_a_full_reader_finds_them():
    """The count of colons is compared with the standard library, which sees every pair."""
    chance = random.Random(7)
    names = ["a", "b", 'q"', "s\\", ":", "é", ""]
    disagreements = []
    repeats = 0
    for _ in range(5000):
        text = _random_object(chance, names, 3).encode()
        is_repeated = _has_repeats(text)
        repeats += is_repeated
        try:
            refuse_repeated_members(text, loads(text))
        except MalformedJson:
            found = True
        else:
            found = False
        if found != is_repeated:
            disagreements.append(text)

    assert disagreements == []
    assert 1000 < repeats < 4900


def _random_object(chance, names, depth):
    members = []
    for _ in range(chance.randrange(4)):
        value = chance.choice(['"x:y"', "1", "[]", '"\\":{\\""', "null", '"\\\\"'])
        if depth and chance.random() < 0.4:
            value = _random_object(chance, names, depth - 1)
        space = chance.choice(["", " ", "\n"])
        members.append(f"{json.dumps(chance.choice(names))}{space}:{space}{value}")
    return "{" + ",".join(members) + "}"


def _has_repeats(text):
    repeated = False

    def look(pairs):
        nonlocal repeated
        repeated |= len(dict(pairs)) != len(pairs)
        return dict(pairs)

    json.loads(text, object_pairs_hook=look)
    return repeated
