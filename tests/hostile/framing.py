"""Hostile HTTP: bytes that two readers understand differently, sizes and speeds without end."""

from collections.abc import Iterator

from tests.hostile.case import HOST, Case, World, bearer, create, request

MALFORMED = "400 MALFORMED_REQUEST"
LARGE = "413 PAYLOAD_TOO_LARGE"
SLOW = "408 REQUEST_TIMEOUT"
MEDIA = "415 UNSUPPORTED_MEDIA_TYPE"
MISSING = "404 NOT_FOUND"
HEALTH = b"GET /v1/health HTTP/1.1\r\n"
CLOSE = b"Connection: close\r\n"
SMUGGLED = b"GET /v1/payments HTTP/1.1\r\n" + HOST + b"\r\n"
POST = b"POST /v1/webhooks/payos HTTP/1.1\r\n" + HOST
JSON = b"Content-Type: application/json\r\n"
CODED = b"Transfer-Encoding: chunked\r\n"
CHUNKED = POST + JSON + CLOSE + CODED + b"\r\n"

HEADS: dict[str, tuple[bytes, str]] = {
    "no Host": (HEALTH + b"\r\n", MALFORMED),
    "two Hosts": (HEALTH + HOST + HOST + b"\r\n", MALFORMED),
    "empty Host": (HEALTH + b"Host:\r\n\r\n", MALFORMED),
    "Host with a path": (HEALTH + b"Host: a/b\r\n\r\n", MALFORMED),
    "Host with a user": (HEALTH + b"Host: a@b\r\n\r\n", MALFORMED),
    "Host of two": (HEALTH + b"Host: a, b\r\n\r\n", MALFORMED),
    "header of 64 KB": (HEALTH + HOST + b"X: " + b"a" * 65_000 + b"\r\n\r\n", MALFORMED),
    "header of 1 MB": (HEALTH + HOST + b"X: " + b"a" * 1_000_000 + b"\r\n\r\n", MALFORMED),
    "name of 64 KB": (HEALTH + HOST + b"a" * 65_000 + b": x\r\n\r\n", MALFORMED),
    "65 headers": (HEALTH + HOST + b"X: a\r\n" * 65 + b"\r\n", MALFORMED),
    "20,000 headers": (HEALTH + HOST + b"X: a\r\n" * 20_000 + b"\r\n", MALFORMED),
    "folded header": (HEALTH + HOST + b"X: a\r\n b\r\n\r\n", MALFORMED),
    "NUL in a header": (HEALTH + HOST + b"X: a\x00b\r\n\r\n", MALFORMED),
    "bare CR in a header": (HEALTH + HOST + b"X: a\rY: b\r\n\r\n", MALFORMED),
    "bare line feeds": (b"GET /v1/health HTTP/1.1\nHost: a\n\n", MALFORMED),
    "space before the colon": (HEALTH + b"Host : a\r\n\r\n", MALFORMED),
    "no colon": (HEALTH + HOST + b"nothing\r\n\r\n", MALFORMED),
    "no name": (HEALTH + HOST + b": nothing\r\n\r\n", MALFORMED),
    "name with a space": (HEALTH + HOST + b"X Y: a\r\n\r\n", MALFORMED),
    "name beyond ASCII": (HEALTH + HOST + b"X\xe9: a\r\n\r\n", MALFORMED),
    "space before the first header": (HEALTH + b" " + HOST + b"\r\n", MALFORMED),
    "HTTP/0.9": (b"GET /v1/health\r\n\r\n", MALFORMED),
    "HTTP/1.2": (b"GET /v1/health HTTP/1.2\r\n" + HOST + b"\r\n", MALFORMED),
    "HTTP/2.0": (b"GET /v1/health HTTP/2.0\r\n" + HOST + b"\r\n", MALFORMED),
    "HTTP/9.9": (b"GET /v1/health HTTP/9.9\r\n" + HOST + b"\r\n", MALFORMED),
    "HTTP/11.1": (b"GET /v1/health HTTP/11.1\r\n" + HOST + b"\r\n", MALFORMED),
    "http/1.1": (b"GET /v1/health http/1.1\r\n" + HOST + b"\r\n", MALFORMED),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", MALFORMED),
    "a TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc" + b"\x00" * 100, MALFORMED),
    "garbage": (b"\x00\xff" * 50 + b"\r\n\r\n", MALFORMED),
    "an SMTP greeting": (b"EHLO evil.example\r\n", MALFORMED),
    "a Redis command": (b"*1\r\n$4\r\nPING\r\n", MALFORMED),
    "a request of SSH": (b"SSH-2.0-OpenSSH_9.9\r\n", MALFORMED),
    "absolute address": (b"GET http://evil/v1/health HTTP/1.1\r\n" + HOST + b"\r\n", MALFORMED),
    "asterisk": (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", MALFORMED),
    "CONNECT": (b"CONNECT evil:443 HTTP/1.1\r\n" + HOST + b"\r\n", MALFORMED),
    "fragment": (b"GET /v1/health#x HTTP/1.1\r\n" + HOST + b"\r\n", MALFORMED),
    "no address": (b"GET  HTTP/1.1\r\n" + HOST + b"\r\n", MALFORMED),
    "address with a space": (b"GET /v1/a b HTTP/1.1\r\n" + HOST + b"\r\n", MALFORMED),
    "address beyond ASCII": (b"GET /v1/caf\xe9 HTTP/1.1\r\n" + HOST + b"\r\n", MALFORMED),
    "address with NUL": (b"GET /v1/\x00 HTTP/1.1\r\n" + HOST + b"\r\n", MALFORMED),
    "address of 64 KB": (
        b"GET /" + b"a" * 65_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        MALFORMED,
    ),
    "address of 1 MB": (
        b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        MALFORMED,
    ),
    "half a head": (HEALTH + HOST + b"X:", SLOW),
    "half a method": (b"GE", SLOW),
    "line ends only": (b"\r\n\r\n\r\n", SLOW),
}

CODINGS = (
    "identity", "gzip", "gzip, chunked", "chunked, identity", "chunked, chunked", "xchunked",
    "chunked;q=1", "\tchunked, gzip", "chunked\x0b", '"chunked"', "deflate", "compress",
)  # fmt: skip
LENGTHS = (
    "+2", "-1", "0x2", "2_0", "2 2", "2, 2", "2;2", "", "two", "2.0", "1e1", "99999999999999999999",
    "9" * 400, "\x0b2", "２",  # that is the point
)  # fmt: skip
BODIES: dict[str, tuple[bytes, str]] = {
    "length and chunks": (
        POST + JSON + b"Content-Length: 6\r\n" + CODED + b"\r\n0\r\n\r\n" + SMUGGLED,
        MALFORMED,
    ),
    "chunks and length": (
        POST + JSON + CODED + b"Content-Length: 6\r\n\r\n0\r\n\r\n" + SMUGGLED,
        MALFORMED,
    ),
    "two codings": (
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        MALFORMED,
    ),
    "coding with a space": (POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", MALFORMED),
    "coding in HTTP/1.0": (CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + b"0\r\n\r\n", MALFORMED),
    "equal lengths": (POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nab", MALFORMED),
    "unequal lengths": (POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc", MALFORMED),
    "chunk size in hexadecimal": (CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n", MALFORMED),
    "chunk size too large": (CHUNKED + b"f" * 17 + b"\r\n{}\r\n0\r\n\r\n", MALFORMED),
    "chunk size negative": (CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n", MALFORMED),
    "chunk size with a space": (CHUNKED + b" 2\r\n{}\r\n0\r\n\r\n", MALFORMED),
    "chunk without a size": (CHUNKED + b"\r\n{}\r\n0\r\n\r\n", MALFORMED),
    "chunk with bare line feeds": (CHUNKED + b"2\n{}\n0\n\n", MALFORMED),
    "chunk without an end": (CHUNKED + b"2\r\n{}XX0\r\n\r\n", MALFORMED),
    "chunk longer than its size": (CHUNKED + b"1\r\n{}\r\n0\r\n\r\n", MALFORMED),
    "chunk extension with a line feed": (CHUNKED + b"2;\nxx\r\n{}\r\n0\r\n\r\n", MALFORMED),
    "trailer": (CHUNKED + b"2\r\n{}\r\n0\r\nX: a\r\n\r\n", MALFORMED),
    "trailer with credentials": (
        CHUNKED + b"2\r\n{}\r\n0\r\nAuthorization: Bearer x\r\n\r\n",
        MALFORMED,
    ),
    "trailer with a key": (CHUNKED + b"2\r\n{}\r\n0\r\nIdempotency-Key: x\r\n\r\n", MALFORMED),
    "trailer of 1 MB": (CHUNKED + b"0\r\nA: " + b"a" * 1_000_000 + b"\r\n\r\n", LARGE),
    "chunks of 128 KB": (CHUNKED + b"8000\r\n" + b" " * 32_768 + b"\r\n8001\r\n" + b" " * 32_769
                         + b"\r\n0\r\n\r\n", LARGE),
    "body of 1 MB": (POST + JSON + b"Content-Length: 1000000\r\n\r\n" + b"a" * 1_000_000, LARGE),
    "body of 10 GB": (POST + JSON + b"Content-Length: 10000000000\r\n\r\n", LARGE),
    "upgrade with a body": (
        POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n{}",
        MALFORMED,
    ),
    "websocket with a body": (
        POST + b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\n{}",
        MALFORMED,
    ),
    "half a body": (POST + JSON + b"Content-Length: 9\r\n\r\n{", SLOW),
    "half a chunk": (CHUNKED + b"9\r\n{", SLOW),
    "a body, then a bad head": (
        POST + JSON + b"Content-Length: 2\r\n\r\n{}GET / HTTP/9.9\r\n\r\n",
        f"422 VALIDATION_FAILED, {MALFORMED}",
    ),
    "40 requests in a row": (
        (HEALTH + HOST + b"\r\n") * 40,
        ", ".join(["200"] * 33 + [MALFORMED]),
    ),
}  # fmt: skip
MEDIA_TYPES = (
    "text/plain", "text/json", "application/xml", "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x", "application/json-patch+json", "application/jsonp",
    "application/vnd.api+json", "application/octet-stream", "*/*", "json", "application/json2",
    "image/png", "application/json, text/plain",
)  # fmt: skip
ENCODINGS = ("gzip", "br", "deflate", "gzip, identity", "zstd", "x-gzip")
KEYS = {
    "empty": "", "a space": " ", "256 characters": "k" * 256, "two words": "a b", "a quote": 'a"b',
    "an open quote": '"ab', "a backslash": "a\\b", "beyond ASCII": "caf\xe9", "a tab": "a\tb",
    "empty quotes": '""', "258 with quotes": '"' + "k" * 256 + '"',
}  # fmt: skip


def cases(world: World) -> Iterator[Case]:
    """List them."""
    for name, (data, expected) in HEADS.items():
        yield Case("head", name, data, expected)
    for name, (data, expected) in BODIES.items():
        yield Case("framing", name, data, expected)
    for coding in CODINGS:
        data = CHUNKED.replace(b"chunked", coding.encode()) + b"0\r\n\r\n" + SMUGGLED
        yield Case("Transfer-Encoding", repr(coding), data, MALFORMED)
    for length in LENGTHS:
        data = POST + JSON + b"Content-Length: " + length.encode() + b"\r\n\r\n{}" + SMUGGLED
        yield Case("Content-Length", repr(length[:30]), data, MALFORMED)
    auth = bearer(world.token)
    for media_type in MEDIA_TYPES:
        data = request("POST", "/v1/payments", auth, "Idempotency-Key: k", body=b"{}",
                       media_type=media_type)  # fmt: skip
        yield Case("Content-Type", media_type, data, MEDIA)
    data = request("POST", "/v1/payments", auth, "Idempotency-Key: k", body=b"{}", media_type=None)
    yield Case("Content-Type", "none", data, MEDIA)
    for encoding in ENCODINGS:
        data = create(world, b"{}", f"Content-Encoding: {encoding}")
        yield Case("Content-Encoding", encoding, data, MEDIA)
    yield from _keys(world, auth)


def _keys(world: World, auth: str) -> Iterator[Case]:
    invalid = "400 IDEMPOTENCY_KEY_INVALID"
    for name, key in KEYS.items():
        yield Case("Idempotency-Key", name, create(world, b"{}", name=key), invalid)
    data = request("POST", "/v1/payments", auth, body=b"{}")
    yield Case("Idempotency-Key", "none", data, "400 IDEMPOTENCY_KEY_MISSING")
    data = create(world, b"{}", "Idempotency-Key: another")
    yield Case("Idempotency-Key", "two", data, invalid)
    data = create(world, b"{}", "Idempotency-Key: hostile-key")
    yield Case("Idempotency-Key", "the same twice", data, invalid)
