"""Hostile addresses: where payers would be sent, and where requests are sent to."""

import json
from collections.abc import Iterator

from tests.hostile.case import Case, World, bearer, create, order, request

INVALID = "422 VALIDATION_FAILED"
MISSING = "404 NOT_FOUND"
BAD_METHOD = "405 METHOD_NOT_ALLOWED"
MALFORMED = "400 MALFORMED_REQUEST"

RETURN_URLS = {
    "plain HTTP": "http://shop.example/",
    "javascript": "javascript:alert(1)",
    "data": "data:text/html,x",
    "file": "file:///etc/passwd",
    "ftp": "ftp://shop.example/",
    "no scheme": "//evil.example/",
    "no slashes": "https:evil.example",
    "three slashes": "https:///evil",
    "relative": "/thanks",
    "a word": "thanks-page",
    "empty": "",
    "a user": "https://shop.example@evil.com/",
    "user and password": "https://user:pass@shop.example/",
    "port as user": "https://shop.example:443@evil.com/",
    "fragment as host": "https://evil.com#@shop.example/",
    "query as host": "https://evil.com?@shop.example/",
    "backslash": "https://evil.com\\@shop.example/",
    "backslashes": "https:\\\\shop.example/",
    "tab": "https://shop.example/\ta",
    "line feed": "https://shop.example/\na",
    "CRLF": "https://shop.example/\r\nSet-Cookie: a=b",
    "space": "https://shop.example/a b",
    "space first": " https://shop.example/",
    "line feed last": "https://shop.example/\n",
    "NUL": "https://shop.example/\x00",
    "encoded host": "https://shop%2eexample/",
    "trailing dot": "https://shop.example./",
    "two dots": "https://shop..example/",
    "ideographic dot": "https://shop。example/",
    "full-width": "https://ｓhop.example/",
    "Cyrillic": "https://shоp.example/",
    "punycode": "https://xn--shp-0na.example/",
    "soft hyphen": "https://sh\u00adop.example/",
    "right-to-left": "https://shop.example/\u202egpj",
    "IPv4": "https://192.0.2.1/",
    "IPv4 in one number": "https://2130706433/",
    "IPv4 hexadecimal": "https://0x7f000001/",
    "IPv4 mixed": "https://0x7f.1/",
    "IPv4 short": "https://127.1/",
    "IPv4 octal": "https://0300.0.2.1/",
    "IPv6": "https://[::1]/",
    "IPv6 mapped": "https://[::ffff:7f00:1]/",
    "metadata service": "https://169.254.169.254/latest/",
    "localhost": "https://localhost./",
    "one label": "https://intranet/",
    "SSH": "https://shop.example:22/",
    "port 0": "https://shop.example:0/",
    "port 443": "https://shop.example:443/",
    "port too large": "https://shop.example:65536/",
    "no port": "https://shop.example:/",
    "two ports": "https://shop.example:1:2/",
    "long": "https://shop.example/" + "a" * 2048,
    "long host": f"https://{'a' * 254}.example/",
    "hyphen first": "https://-shop.example/",
    "underscore": "https://shop_1.example/",
    "a tag": "https://shop.example/<script>",
    "a quote": "https://shop.example/'\"",
}
NO_TEXT = (
    "null",
    "5",
    "true",
    "[]",
    '["https://shop.example/"]',
    '{"url": "https://shop.example/"}',
)

PATHS = {
    "/": MISSING,
    "/v1": MISSING,
    "/v1/": MISSING,
    "/v1/payments/": MISSING,
    "//v1/payments": MISSING,
    "/V1/payments": MISSING,
    "/v1/Payments": MISSING,
    "/v2/payments": MISSING,
    "/v1/payments%2f": MISSING,
    "/v1/./payments": MISSING,
    "/v1/../v1/payments": MISSING,
    "/v1/%2e%2e/admin": MISSING,
    "/v1/payments;jsessionid=1": MISSING,
    "/v1/payments%00": MISSING,
    "/v1/payments%0a": MISSING,
    "/v1/payments%0d%0aX:1": MISSING,
    "/v1/health%20": MISSING,
    "/v1/health/": MISSING,
    "/v1/health%ff%fe": MISSING,
    "/v1/health.json": MISSING,
    "/docs/": MISSING,
    "/docs/assets": MISSING,
    "/docs/assets/swagger-ui/README.md": MISSING,
    "/openapi.json": MISSING,
    "/metrics": MISSING,
    "/livez": MISSING,
    "/readyz": MISSING,
    "/debug": MISSING,
    "/.git/config": MISSING,
    "/.env": MISSING,
    "/admin": MISSING,
    "/_admin/ledger": MISSING,
    "/actuator/health": MISSING,
    "/favicon.ico": MISSING,
    "/robots.txt": MISSING,
    "/" + "a" * 4_000: MISSING,
    "/" + "a/" * 2_000: MISSING,
    "/%2525": MISSING,
    "/v1/payments\\..": MISSING,
}
PAYMENT_IDS = (
    "pay_",
    "pay_" + "0" * 25,
    "pay_" + "0" * 27,
    "pay_" + "O" * 26,
    "pay_" + "u" * 26,
    "PAY_" + "0" * 26,
    "ref_" + "0" * 26,
    "pay_" + "0" * 26 + "%0a",
    "pay_" + "0" * 26 + "%00",
    "%27%20OR%201=1",
    "..%2f..%2fetc",
    "*",
    "%25",
    "null",
    "0",
    "-1",
    "1e9",
    "%F0%9F%92%A9",
    "pay_" + "%D9%A1" * 26,
    "pay_" + "0" * 26 + "%20",
    "a" * 2_000,
    "undefined",
    "%24%7B7*7%7D",
)
ODD_METHODS = ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "LOCK", "PURGE", "SEARCH")
NO_METHODS = ("get", "Post", "G@T", "GETX", "GE T", "A" * 1_000, "GET\t", "\x00GET")


def cases(world: World) -> Iterator[Case]:
    """List them."""
    for member in ("return_url", "cancel_url"):
        for name, url in RETURN_URLS.items():
            body = json.dumps(order(**{member: url})).encode()
            yield Case(member, name, create(world, body), INVALID)
    for text in NO_TEXT:
        body = json.dumps(order(return_url=json.loads(text))).encode()
        yield Case("return_url", text, create(world, body), INVALID)
    auth = bearer(world.token)
    for path, expected in PATHS.items():
        yield Case("path", path[:60], request("GET", path, auth), expected)
    for name in PAYMENT_IDS:
        yield Case("payment_id", name[:60], request("GET", f"/v1/payments/{name}", auth), MISSING)
    for method in ODD_METHODS:
        for path in ("/v1/payments", "/v1/health"):
            yield Case("method", f"{method} {path}", request(method, path, auth), BAD_METHOD)
    for method in NO_METHODS:
        name = f"{method[:20]!r}"
        yield Case("method", name, request(method, "/v1/health", auth), MALFORMED)
    yield Case("method", "HEAD", request("HEAD", "/v1/health", auth), "405")
    body = b"{}"
    yield Case(
        "method",
        "POST where only GET is",
        request("POST", "/v1/health", auth, body=body),
        BAD_METHOD,
    )
