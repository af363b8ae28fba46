"""Hostile callers: tokens that are nearly right, other tenants' things, cursors, and webhooks."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import jwt

from payos_simulator import signatures
from payos_simulator.webhooks import PING
from tests.hostile.case import Case, World, bearer, create, order, request
from tests.support.identity import SigningKey, encoded, handmade

STRANGER = "401 UNAUTHENTICATED"
INVALID = "422 VALIDATION_FAILED"
MISSING = "404 NOT_FOUND"
WRONG_SIGNATURE = "401 WEBHOOK_SIGNATURE_INVALID"
MALFORMED = "400 MALFORMED_REQUEST"
LIST = "/v1/payments"

HEAD = {"alg": "HS256"}


def cases(world: World) -> Iterator[Case]:
    """List them."""
    for name, token in _tokens(world).items():
        yield Case("token", name, request("GET", LIST, bearer(token)), STRANGER)
    for name, lines in _credentials(world).items():
        yield Case("Authorization", name, request("GET", LIST, *lines), STRANGER)
    yield from _others(world)
    yield from _queries(world)
    yield from _webhooks(world)


def _tokens(world: World) -> dict[str, str]:
    claims = jwt.decode(world.token, options={"verify_signature": False})
    return _odd_claims(world, claims) | _odd_forms(world, claims)


def _odd_claims(world: World, claims: dict[str, Any]) -> dict[str, str]:
    now = claims["iat"]

    def with_claims(**changes: Any) -> str:
        changed = {name: value for name, value in (claims | changes).items() if value is not ...}
        return handmade(HEAD, changed, world.secret.encode())

    return {
        "expired": with_claims(iat=now - 900, exp=now - 600),
        "not yet": with_claims(nbf=now + 600),
        "made tomorrow": with_claims(iat=now + 86_400, exp=now + 90_000),
        "good for ten years": with_claims(exp=now + 315_360_000),
        "no end": with_claims(exp=...),
        "no start": with_claims(iat=...),
        "no issuer": with_claims(iss=...),
        "no audience": with_claims(aud=...),
        "no subject": with_claims(sub=...),
        "no tenant": with_claims(tenant_id=...),
        "another issuer": with_claims(iss="evil"),
        "issuer as a list": with_claims(iss=[claims["iss"]]),
        "another audience": with_claims(aud="evil"),
        "empty audience": with_claims(aud=[]),
        "end as text": with_claims(exp=str(now + 60)),
        "end as true": with_claims(exp=True),
        "end as null": with_claims(exp=None),
        "end without end": with_claims(exp=10**400),
        "tenant as a number": with_claims(tenant_id=1),
        "tenant as a list": with_claims(tenant_id=[]),
        "tenant with a line feed": with_claims(tenant_id="dev\n"),
        "empty tenant": with_claims(tenant_id=""),
        "tenant of 65": with_claims(tenant_id="a" * 65),
        "scope as a list": with_claims(scope=["x"]),
        "subject as an object": with_claims(sub={"a": 1}),
    }


def _odd_forms(world: World, claims: dict[str, Any]) -> dict[str, str]:
    head, secret, good = HEAD, world.secret.encode(), world.token
    swapped = encoded(claims | {"tenant_id": "x"}).decode()
    first, second, third = good.split(".")
    return {
        "another secret": handmade(head, claims, b"another-secret-of-more-than-32-bytes"),
        "an empty secret": handmade(head, claims, b""),
        "no algorithm": handmade({"alg": "none"}, claims),
        "nOnE": handmade({"alg": "nOnE"}, claims),
        "algorithm empty": handmade({"alg": ""}, claims, secret),
        "algorithm null": handmade({"alg": None}, claims, secret),
        "no header": handmade({}, claims, secret),
        "HS512": jwt.encode(claims, world.secret * 2, algorithm="HS512"),
        "RS256": jwt.encode(claims, SigningKey("a").private, algorithm="RS256"),
        "a list as header": handmade([], claims, secret),
        "two algorithms": handmade(b'{"alg":"HS256","alg":"none"}', claims),
        "kid by path": handmade({**head, "kid": 5}, claims, secret),
        "an ID token": handmade({**head, "typ": "id_token"}, claims, secret),
        "a condition": handmade({**head, "crit": ["x"], "x": 1}, claims, secret),
        "a payload that is no JSON": handmade(head, b"word", secret),
        "a payload of bytes": handmade(head, b"\xff\xfe", secret),
        "a payload that is a list": handmade(head, [], secret),
        "nesting without end": handmade(head, b"[" * 4_000, secret),
        "header without end": handmade(b'{"a":' * 1_000, claims, secret),
        "signature cut": good[:-4],
        "signature longer": good + "AAAA",
        "no signature": f"{first}.{second}.",
        "two parts": f"{first}.{second}",
        "four parts": good + ".x",
        "parts swapped": f"{second}.{first}.{third}",
        "another tenant's payload": f"{first}.{swapped}.{third}",
        "padding": good + "=",
        "standard base64": good.replace("-", "+").replace("_", "/") + "+",
        "dots": "..",
        "a word": "word",
        "9,000 characters": "a" * 9_000,
        "percent": good + "%00",
    }


def _credentials(world: World) -> dict[str, tuple[str, ...]]:
    token = world.token
    return {
        "none": (),
        "empty": ("Authorization:",),
        "Bearer alone": ("Authorization: Bearer",),
        "token alone": (f"Authorization: {token}",),
        "Basic": ("Authorization: Basic ZGV2OmRldg==",),
        "Token": (f"Authorization: Token {token}",),
        "Bearer twice": (f"Authorization: Bearer Bearer {token}",),
        "two headers": (bearer(token), bearer(token)),
        "two tokens": (f"Authorization: Bearer {token}, {token}",),
        "X-Authorization": (f"X-Authorization: Bearer {token}",),
        "a cookie": (f"Cookie: token={token}",),
        "Proxy-Authorization": (f"Proxy-Authorization: Bearer {token}",),
        "a tenant by header": ("X-Tenant-Id: dev",),
        "colon": (f"Authorization: Bearer: {token}",),
        "beyond ASCII": ("Authorization: Bearer caf\xe9",),
    }


def _others(world: World) -> Iterator[Case]:
    path = f"/v1/payments/{world.payment_id}"
    auth = bearer(world.others_token)
    key = "Idempotency-Key: others"
    refund = json.dumps(
        {"amount": 1, "reason": "other", "destination": {"type": "source"}}
    ).encode()
    for name, data in {
        "read": request("GET", path, auth),
        "timeline": request("GET", f"{path}/timeline", auth),
        "refunds": request("GET", f"{path}/refunds", auth),
        "a refund": request("GET", f"{path}/refunds/ref_{'0' * 26}", auth),
        "cancel": request("POST", f"{path}/cancel", auth, key, body=b"{}"),
        "refund": request("POST", f"{path}/refunds", auth, key, body=refund),
        "with a slash": request("GET", f"{path}/", auth),
    }.items():
        yield Case("another tenant", name, data, MISSING)
    weak = _weak(world)
    for name, data in {
        "read": request("GET", path, bearer(weak)),
        "create": request("POST", LIST, bearer(weak), key, body=b"{}"),
        "refund": request("POST", f"{path}/refunds", bearer(weak), key, body=refund),
    }.items():
        yield Case("without the scope", name, data, "403 FORBIDDEN")
    again = create(
        world, json.dumps(order(order_reference="another")).encode(), name=world.used_key
    )
    yield Case("Idempotency-Key", "used for another order", again, "422 IDEMPOTENCY_KEY_REUSED")
    data = request(
        "POST",
        f"{path}/cancel",
        bearer(world.token),
        f"Idempotency-Key: {world.used_key}",
        body=b"{}",
    )
    yield Case("Idempotency-Key", "used for another operation", data, "422 IDEMPOTENCY_KEY_REUSED")


def _weak(world: World) -> str:
    claims = jwt.decode(world.token, options={"verify_signature": False})
    return handmade(
        {"alg": "HS256"}, claims | {"scope": "payments:reader *"}, world.secret.encode()
    )


QUERIES = (
    "limit=0", "limit=-1", "limit=101", "limit=1e9", "limit=", "limit=abc", "limit=1.5",
    "limit=%00", "limit=9999999999999999999999", "limit=1&limit=2", "limit=1_0", "limit=%2B5",
    "limit=%205", "limit=05", "limit=-0", "limit=%EF%BC%91", "limit=1;status=paid", "limit%00=1",
    "status=", "status=PAID", "status=paid%00", "status=paid&status=failed", "status[]=paid",
    "status=paid,failed", "order_reference=", "order_reference=%27%20OR%201=1",
    "order_reference=" + "a" * 65, "order_reference=a%0a", "created_from=yesterday",
    "created_from=2026-11-24", "created_from=2026-13-01T00:00:00Z", "created_from=",
    "created_from=2026-11-24T00:00:00", "created_from=0", "created_before=%F0%9F%92%A9",
    "tenant_id=another", "sort=amount", "order_by=1;drop", "offset=1", "page=2", "__proto__=1",
    "=1", "&=&", "unknown", "?limit=1", "a" * 8_500,
)  # fmt: skip


def _queries(world: World) -> Iterator[Case]:
    auth = bearer(world.token)
    for query in QUERIES:
        expected = MALFORMED if len(query) > 8_000 else INVALID
        yield Case("query", query[:60], request("GET", f"{LIST}?{query}", auth), expected)
    wrong = "400 INVALID_CURSOR"
    ours = base64.urlsafe_b64decode(world.cursor + "=" * (-len(world.cursor) % 4))
    at, name, scope = json.loads(ours)

    def cursor(*parts: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")

    for title, text in {
        "a word": "word",
        "one letter": "a",
        "another tenant's": world.others_cursor,
        "cut": world.cursor[:-3],
        "longer": world.cursor + "AAAA",
        "not base64": "a!b",
        "of other filters": f"{world.cursor}&status=paid",
        "null": cursor(),
        "a number": cursor(5),
        "another place": cursor(at, name, "0" * 16),
        "without a zone": cursor("2026-11-24T00:00:00", name, scope),
        "no time": cursor("never", name, scope),
        "a number as a name": cursor(at, 5, scope),
        "more parts": cursor(at, name, scope, 1),
        "an object": base64.urlsafe_b64encode(b"{}").decode(),
        "bytes": base64.urlsafe_b64encode(b"\xff\xfe\xfd").decode(),
        "beyond ASCII": cursor(at, "é", scope),
        "nesting": base64.urlsafe_b64encode(b"[" * 300).decode(),
    }.items():
        yield Case("cursor", title, request("GET", f"{LIST}?cursor={text}", auth), wrong)
    for title, text in {"empty": "", "501 characters": "a" * 501}.items():
        yield Case("cursor", title, request("GET", f"{LIST}?cursor={text}", auth), INVALID)


def _webhooks(world: World) -> Iterator[Case]:
    data = PING | {"orderCode": 999_999, "reference": "FT-HOSTILE"}
    signature = signatures.of_data(data, world.checksum_key)

    def webhook(**changes: Any) -> bytes:
        envelope = {
            "code": "00",
            "desc": "success",
            "success": True,
            "data": data,
            "signature": signature,
        } | changes
        kept = {name: value for name, value in envelope.items() if value is not ...}
        return request("POST", "/v1/webhooks/payos", body=json.dumps(kept).encode())

    for name, given in {
        "none": ...,
        "empty": "",
        "null": None,
        "a number": 5,
        "a list": [],
        "63 digits": signature[:-1],
        "65 digits": signature + "0",
        "upper case": signature.upper(),
        "beyond ASCII": "é" * 64,
        "with a space": signature[:-1] + " ",
        "with a line feed": signature + "\n",
        "prefixed": f"sha256={signature}",
        "full-width": "０" * 64,
    }.items():
        yield Case("webhook signature", name, webhook(signature=given), INVALID)
    for name, given in {
        "zeros": "0" * 64,
        "reversed": signature[::-1],
        "of another key": signatures.of_data(data, "x"),
        "of nothing": signatures.of_data({}, world.checksum_key),
    }.items():
        yield Case("webhook signature", name, webhook(signature=given), WRONG_SIGNATURE)
    for name, changes in {
        "another amount": {"amount": 1},
        "another order": {"orderCode": 1},
        "one more member": {"x": 1},
        "amount as text, padded": {"amount": "03000"},
        "a member less": {"desc": None},
        "another account": {"counterAccountNumber": "1"},
        "another time": {"transactionDateTime": ""},
    }.items():
        yield Case("webhook data", name, webhook(data=data | changes), WRONG_SIGNATURE)
    for name, given in {
        "none": ...,
        "null": None,
        "a text": "text",
        "a number": 1,
        "a list": [data],
        "65 members": {f"k{n}": n for n in range(65)},
    }.items():
        yield Case("webhook data", name, webhook(data=given), INVALID)
    for name, text in {
        "NaN": b'{"data": {"amount": NaN}, "signature": "%s"}',
        "surrogate": rb'{"data": {"a": "\ud800"}, "signature": "%s"}',
        "a member twice": b'{"data": {"a": 1, "a": 2}, "signature": "%s"}',
        "cut": b'{"data": {"a": 1',
        "form": b"data=1&signature=%s",
        "bytes": b"\xff\xfe%s",
        "nesting": b'{"data": ' + b"[" * 1_000,
        "nothing": b"",
    }.items():
        body = text.replace(b"%s", signature.encode())
        yield Case(
            "webhook body", name, request("POST", "/v1/webhooks/payos", body=body), MALFORMED
        )
