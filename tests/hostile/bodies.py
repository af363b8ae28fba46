"""Hostile JSON: texts that readers understand differently, and values that no field has."""

import json
from collections.abc import Iterator

from tests.hostile.case import Case, World, create, order, order_with

MALFORMED = "400 MALFORMED_REQUEST"
INVALID = "422 VALIDATION_FAILED"

# No value of JSON, alone or in a document. Written after RFC 8259, section by section.
NOT_JSON: dict[str, bytes] = {
    "a word": b"word",
    "True": b"True",
    "NULL": b"NULL",
    "undefined": b"undefined",
    "cut true": b"tru",
    "NaN": b"NaN",
    "-NaN": b"-NaN",
    "Infinity": b"Infinity",
    "-Infinity": b"-Infinity",
    "inf": b"inf",
    "1e400": b"1e400",
    "-1e400": b"-1e400",
    "leading zero": b"02000",
    "minus zero two": b"-02",
    "plus": b"+2000",
    "hexadecimal": b"0x7d0",
    "octal": b"0o17",
    "underscore": b"2_000",
    "point first": b".5",
    "point last": b"2.",
    "exponent of nothing": b"2e",
    "exponent sign only": b"2e+",
    "two points": b"1.2.3",
    "minus alone": b"-",
    "two minuses": b"--2",
    "comma in a number": b"2,000",
    "full-width digits": "２０００".encode(),
    "Arabic digits": "٢٠٠٠".encode(),
    "a nearly integer": b"0.99999999999999999999",
    "a very long exponent": b"1e" + b"9" * 400,
    "no quotes": b"hello there",
    "single quotes": b"'text'",
    "open string": b'"text',
    "quote alone": b'"',
    "raw line feed": b'"a\nb"',
    "raw tab": b'"a\tb"',
    "raw NUL": b'"a\x00b"',
    "raw escape": b'"a\x1bb"',
    "unknown escape": rb'"\x41"',
    "escaped a": rb'"\a"',
    "escape at the end": b'"text\\"',
    "short \\u": rb'"\u00A"',
    "\\u of no digits": rb'"\uqqqq"',
    "\\u with sign": rb'"\u-123"',
    "capital \\U": rb'"\U00000041"',
    "high surrogate": rb'"\ud800"',
    "low surrogate": rb'"\udc00"',
    "surrogates reversed": rb'"\udc00\ud800"',
    "surrogate and text": rb'"\ud800abc"',
    "two high surrogates": rb'"\ud800\ud800"',
    "UTF-8 surrogate": b'"\xed\xa0\x80"',
    "overlong slash": b'"\xc0\xaf"',
    "overlong NUL": b'"\xc0\x80"',
    "bare ff fe": b'"\xff\xfe"',
    "cut UTF-8": b'"\xe2\x82"',
    "stray continuation": b'"\x80"',
    "beyond Unicode": b'"\xf4\x90\x80\x80"',
    "five-byte UTF-8": b'"\xf8\x88\x80\x80\x80"',
    "Latin-1": b'"caf\xe9"',
    "open array": b"[",
    "open object": b"{",
    "closed too early": b"]",
    "brace closed by bracket": b"{]",
    "array closed by brace": b"[}",
    "trailing comma": b"[1,]",
    "only commas": b"[,]",
    "two commas": b"[1,,2]",
    "no comma": b"[1 2]",
    "colon in an array": b'["a": 1]',
    "object trailing comma": b'{"a": 1,}',
    "object without colon": b'{"a" 1}',
    "two colons": b'{"a":: 1}',
    "equals": b'{"a" = 1}',
    "unquoted name": b"{a: 1}",
    "number as a name": b"{1: 1}",
    "null as a name": b"{null: 1}",
    "object as a name": b"{{}: 1}",
    "no value": b'{"a":}',
    "no member": b"{,}",
    "semicolon": b'{"a": 1; "b": 2}',
    "line comment": b"// x\n1",
    "block comment": b"/* x */ 1",
    "hash comment": b"# x\n1",
    "comment within": b'{"a": /* x */ 1}',
    "two documents": b"1 2",
    "trailing text": b"{}x",
    "trailing bracket": b"{}]",
    "two objects": b"{}{}",
    "function": b"f(1)",
    "tag": b"<json/>",
    "form feed": b"\x0c1",
    "vertical tab": b"\x0b1",
    "no-break space": "\u00a01".encode(),
    "line separator": "\u20281".encode(),
    "UTF-8 BOM": b"\xef\xbb\xbf1",
    "half a BOM": b"\xef\xbb1",
    "deep array": b"[" * 1000 + b"]" * 1000,
    "deep object": b'{"a":' * 1000 + b"1" + b"}" * 1000,
    "40 levels": b"[" * 40 + b"]" * 40,
    "brackets without end": b"[" * 30_000,
    "mixed without end": b'[{"a":' * 5_000,
    "NUL alone": b"\x00",
    "escape alone": b"\\u0041",
}

# Documents as a whole.
DOCUMENTS: dict[str, tuple[bytes, str]] = {
    "spaces": (b"   ", MALFORMED),
    "empty": (b"", MALFORMED),
    "UTF-16": (json.dumps(order()).encode("utf-16"), MALFORMED),
    "UTF-16 LE": (json.dumps(order()).encode("utf-16-le"), MALFORMED),
    "UTF-32": (json.dumps(order()).encode("utf-32"), MALFORMED),
    "UTF-7": (b"+AHs-+AH0-", MALFORMED),
    "BOM before a valid order": (b"\xef\xbb\xbf" + json.dumps(order()).encode(), MALFORMED),
    "after a valid order": (json.dumps(order()).encode() + b"]", MALFORMED),
    "amount twice": (order_with("amount", '1, "amount": 2'), MALFORMED),
    "amount twice, escaped": (order_with("amount", r'1, "am\u006funt": 2'), MALFORMED),
    "a free name twice": (order_with("metadata", '{"a": "1", "a": "2"}'), MALFORMED),
    "null": (b"null", INVALID),
    "true": (b"true", INVALID),
    "a number": (b"5", INVALID),
    "a text": (b'"text"', INVALID),
    "an array": (b"[]", INVALID),
    "an order in an array": (json.dumps([order()]).encode(), INVALID),
    "an empty object": (b"{}", INVALID),
    "status": (json.dumps(order(status="paid")).encode(), INVALID),
    "tenant": (json.dumps(order(tenant_id="another")).encode(), INVALID),
    "__proto__": (json.dumps(order(__proto__={})).encode(), INVALID),
    "constructor": (json.dumps(order(constructor={"prototype": {}})).encode(), INVALID),
    "an empty name": (json.dumps(order(**{"": 1})).encode(), INVALID),
    "names in another case": (json.dumps(order(amount=..., Amount=1)).encode(), INVALID),
    "5,000 unknown names": (
        json.dumps(order(**{f"k{n}": 1 for n in range(5_000)})).encode(),
        INVALID,
    ),
    "65,537 bytes": (b'{"a": "' + b"a" * 65_528 + b'"}', "413 PAYLOAD_TOO_LARGE"),
}

DIGITS_MAX = 4300  # of a number that Python reads at all
AMOUNTS = (
    "0",
    "-0",
    "-1",
    "1000000000001",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "9" * 400,
    "1" + "0" * 4301,
    "0.5",
    "2000.5",
    "-2000",
    "1e-5",
    '"2000"',
    '""',
    "true",
    "false",
    "null",
    "[]",
    "{}",
    "[2000]",
    '{"value": 2000}',
    '"2000.00"',
    '"1e3"',
)
TEXTS = {
    "NUL": r'"a\u0000b"',
    "line feed at the end": r'"order-1\n"',
    "line feed": r'"a\nb"',
    "carriage return": r'"a\rb"',
    "empty": '""',
    "a space": '" "',
    "65 characters": f'"{"a" * 65}"',
    "10,000 characters": f'"{"a" * 10_000}"',
    "right-to-left": '"a\u202eb"',
    "emoji": '"\U0001f4a9"',
    "combining marks": f'"a{chr(0x301) * 63}"',
    "full-width": '"ｏｒｄｅｒ"',
    "Arabic digits": '"١٢٣"',
    "SQL quote": '"\' OR 1=1 -- "',
    "SQL backslash": r'"\\\u0027 OR 1=1"',
    "percent": '"%"',
    "path": '"../../etc/passwd"',
    "shell": '"$(id)"',
    "template": '"{{7*7}}"',
    "null": "null",
    "log4j": '"${jndi:ldap://x}"',
    "a tag": '"<script>"',
    "formula": "\"=cmd|'/c calc'!A0\"",
    "number": "0",
    "truth": "true",
    "array": '["order-1"]',
    "object": '{"$ne": ""}',
    "escape sequence": r'"\u001b[31m"',
    "byte order mark": r'"\ufeffa"',
    "zero width": r'"a\u200bb"',
    "slow pattern": f'"{"a-" * 40}!"',
    "many dots": f'"{"." * 64}"',
}
METADATA = {
    "null": "null",
    "array": "[]",
    "text": '"a"',
    "number value": '{"a": 1}',
    "null value": '{"a": null}',
    "object value": '{"a": {}}',
    "empty name": '{"": "a"}',
    "long name": f'{{"{"a" * 41}": "a"}}',
    "name with a space": '{"a b": "a"}',
    "name with a dollar": '{"$where": "a"}',
    "501 characters": f'{{"a": "{"a" * 501}"}}',
    "21 names": json.dumps({f"k{n}": "v" for n in range(21)}),
    "a card number": '{"a": "4111111111111111"}',
    "a card in groups": '{"a": "4111-1111-1111-1111"}',
}
OTHERS = {
    "currency": ('""', '"vnd"', '"USD"', '"VND "', '"VNDX"', "704", "null", r'"VND\n"', "[]"),
    "description": (
        '""',
        f'"{"a" * 256}"',
        "5",
        "null",
        "[]",
        '"card 4111 1111 1111 1111"',
        '"４１１１１１１１１１１１１１１１"',
        '"5555-5555-5555-4444 thanks"',
    ),
    "expires_in_seconds": (
        "0",
        "59",
        "-60",
        "2592001",
        "1e9",
        "60.5",
        '"900"',
        "null",
        "true",
        "99999999999999999999",
        "{}",
    ),
}


def cases(world: World) -> Iterator[Case]:
    """List them."""
    for name, text in NOT_JSON.items():
        yield Case("JSON", name, create(world, text), MALFORMED)
        inside = create(world, order_with("description", text))
        yield Case("JSON", f"{name}, inside", inside, MALFORMED)
    for name, (text, expected) in DOCUMENTS.items():
        yield Case("document", name, create(world, text), expected)
    for text in AMOUNTS:
        expected = MALFORMED if len(text) > DIGITS_MAX else INVALID
        yield Case("amount", text[:40], create(world, order_with("amount", text)), expected)
    for name, text in TEXTS.items():
        yield Case(
            "order_reference", name, create(world, order_with("order_reference", text)), INVALID
        )
    for name, text in METADATA.items():
        yield Case("metadata", name, create(world, order_with("metadata", text)), INVALID)
    for member, texts in OTHERS.items():
        for text in texts:
            yield Case(member, text[:40], create(world, order_with(member, text)), INVALID)
    for member in order():
        left_out = json.dumps(order(**{member: ...})).encode()
        yield Case("document", f"without {member}", create(world, left_out), INVALID)
