"""Requests and responses that are nearly right, led by the boundary values of the schemas."""

import copy
import random
from dataclasses import dataclass
from typing import Any

import msgspec

from tests.contract.stub_service import (
    CREDENTIALS,
    DOCUMENT,
    EVENT,
    EXCEPTION_ID,
    HOOK,
    JSON,
    PAY,
    PAYMENT_ID,
    QR_TOKEN,
    REFUND,
    REFUND_ID,
    RESOLVE,
    TIMELINE,
    WRITE,
    example,
)

Path = tuple[Any, ...]
ANYTHING: list[Any] = [
    None, True, False, 0, 1, -1, 1.0, 1.5, 2**31, 2**53, 2**63, -(2**63) - 1, 10**12, 10**40, "",
    "a", "VND", "0", "é" * 3, "x" * 3000, "\n", "abc\n", [], {}, [1], {"a": "b"}, "paid", "source",
    "2026-11-24T10:00:00Z", "2026-11-24", "12:00:00Z", "😀" * 255, "\u0000",
]  # fmt: skip
DATES = [
    "2026-11-24T10:00:00Z", "2026-11-24T10:00:00.123456Z", "2026-11-24t10:00:00z",
    "2026-11-24T10:00:00+24:00", "2026-11-24T24:00:00Z", "2026-12-31T23:59:60Z",
    "0000-01-01T00:00:00Z", "2026-11-24T10:00:00", "2026-11-24 10:00:00Z", "2026-02-30T10:00:00Z",
    "2026-11-24T10:00:00-00:00", "9999-12-31T23:59:59.999999Z", "2026-11-24T10:00:00,5Z",
    "2026-11-24T10:00:00+07:00\n", "2026-11-24T10:00:00.1234567891Z", "\uff12026-11-24T10:00:00Z",
]  # fmt: skip


def resolve(schema: Any) -> Any:
    """Follow references of the contract."""
    while "$ref" in schema:
        found: Any = DOCUMENT
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part.replace("~1", "/").replace("~0", "~")]
        schema = found
    return schema


def boundaries(schema: Any) -> list[Any]:
    """List the values at both sides of every rule of a schema."""
    schema = resolve(schema)
    values = [*schema.get("enum", []), *_numbers(schema), *_texts(schema), *_collections(schema)]
    return [*values, schema["const"]] if "const" in schema else values


def _numbers(schema: Any) -> list[Any]:
    values: list[Any] = []
    for key in ("minimum", "maximum"):
        if key in schema:
            values += [schema[key] + step for step in (-1, 0, 1)] + [float(schema[key])]
    if schema.get("format") in {"int32", "int64"}:
        values += [2**31 - 1, 2**31, 2**63 - 1, 2**63, -(2**31) - 1]
    return values


def _texts(schema: Any) -> list[Any]:
    values: list[Any] = []
    for key in ("minLength", "maxLength"):
        if key in schema:
            sizes = [size for size in range(schema[key] - 1, schema[key] + 2) if size >= 0]
            values += [letter * size for size in sizes for letter in ("a", "é", "😀")]
    for value in schema.get("examples", []):
        values += [value, value + "\n", value[:-1], value + "0", value.upper(), " " + value]
    return values + (DATES if schema.get("format") == "date-time" else [])


def _collections(schema: Any) -> list[Any]:
    values: list[Any] = []
    if "maxItems" in schema:
        values += [[], ["x"] * schema["maxItems"], [{}] * (schema["maxItems"] + 1)]
    if "maxProperties" in schema:
        bound = schema["maxProperties"]
        values += [{f"k{n}": "v" for n in range(size)} for size in (bound, bound + 1)]
    if "propertyNames" in schema:
        values += [{"k" * 40: "v"}, {"k" * 41: "v"}, {"": "v"}, {"a b": "v"}, {"k\n": "v"}]
    if isinstance(schema.get("additionalProperties"), dict):
        values += [{"k": value} for value in boundaries(schema["additionalProperties"])]
    return values


def places(value: Any, schema: Any, path: Path = ()) -> list[tuple[Path, Any]]:
    """List every place of a document with the schema that rules it."""
    schema = resolve(schema)
    for variant in schema.get("oneOf", []):
        if isinstance(value, dict) and set(value) <= set(resolve(variant)["properties"]):
            schema = resolve(variant)
    found = [(path, schema)]
    if isinstance(value, dict):
        for key, member in value.items():
            rule = schema.get("properties", {}).get(key, {})
            found += places(member, rule, (*path, key))
    elif isinstance(value, list):
        for number, member in enumerate(value):
            found += places(member, schema.get("items", {}), (*path, number))
    return found


class Mutator:
    """Changes documents, headers and text; the same seed makes the same changes."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self._known: dict[int, list[Any]] = {}

    def document(self, value: Any, schema: Any) -> Any:
        """Change a document in no, one or a few places."""
        value = copy.deepcopy(value)
        for _ in range(self.chance.choice([0, 1, 1, 1, 2])):
            found = places(value, schema)
            path, rule = self.chance.choice(found)
            value = self._changed(value, path, rule)
        return value

    def _changed(self, value: Any, path: Path, rule: Any) -> Any:
        kind = self.chance.random()
        owner: Any = value
        for key in path[:-1]:
            owner = owner[key]
        if kind < 0.55 or not path:
            new = copy.deepcopy(self._value(rule))
            if not path:
                return new if self.chance.random() < 0.3 else value
            owner[path[-1]] = new
        elif kind < 0.75:
            del owner[path[-1]]
        elif isinstance(owner, dict):
            known = [*resolve(rule).get("properties", {}), "extra", "type", "description"]
            owner[self.chance.choice(known)] = copy.deepcopy(self._value({}))
        else:
            owner.append(copy.deepcopy(owner[0]))
        return value

    def _value(self, rule: Any) -> Any:
        own = self._known.setdefault(id(rule), boundaries(rule))
        if own and self.chance.random() < 0.75:
            return self.chance.choice(own)
        return self.chance.choice(ANYTHING)

    def text(self, document: Any) -> bytes:
        """Write a document, now and then not quite as JSON."""
        text = msgspec.json.encode(document)
        if self.chance.random() < 0.95:
            return text
        return self.chance.choice([
            b"", b"{", b"null", b"[]", b"\xff", b"NaN", text[:-1], text + b" ", text + b"x",
            b"\xef\xbb\xbf" + text, text.decode().encode("utf-16"),
            text.replace(b"45000", b"NaN"), text.replace(b"45000", b"1e400"),
            text.replace(b"45000", b"[" * 40 + b"]" * 40), text.replace(b"45000", b"4.5e4"),
            text.replace(b"45000", b"45000.0000000000000001"), text.replace(b'"a', b'"\\ud800'),
        ])  # fmt: skip

    def headers(self, headers: dict[str, str], odd: dict[str, list[str]]) -> dict[str, str]:
        """Leave out or change a header now and then."""
        changed = dict(headers)
        if self.chance.random() < 0.2:
            name = self.chance.choice(list(odd))
            changed.pop(name, None)
            if self.chance.random() < 0.7:
                changed[name] = self.chance.choice(odd[name])
        return changed


@dataclass(frozen=True)
class Call:
    """A request that the contract accepts."""

    operation: str
    method: str
    path: str
    headers: dict[str, str]
    body: Any = None
    schema: Any = None
    queries: tuple[bytes, ...] = (b"",)


def _schema(name: str) -> Any:
    return {"$ref": f"#/components/schemas/{name}"}


_ONE = f"/v1/payments/{PAYMENT_ID}"
_DECISION = f"/v1/exceptions/{EXCEPTION_ID}/resolve"
_PAGES = (
    b"", b"limit=1", b"limit=100", b"limit=0", b"limit=101", b"limit=", b"limit=x", b"limit=1.0",
    b"limit=+5", b"limit=%205", b"limit=1e1", b"limit=9999999999999", b"limit=-1", b"limit=true",
    b"cursor=a", b"cursor=", b"cursor=" + b"a" * 500, b"cursor=" + b"a" * 501, b"limit=%D9%A5",
)  # fmt: skip
_LISTS = (
    *_PAGES, b"status=paid", b"status=nope", b"status=", b"order_reference=o-1",
    b"order_reference=%0A", b"order_reference=o%0A", b"created_from=2026-11-24T10:00:00Z",
    b"created_from=2026-11-24T10:00:00%2B07:00", b"created_from=2026-11-24T10:00:00+07:00",
    b"created_from=2026-12-31T23:59:60Z", b"created_before=0000-01-01T00:00:00Z",
    b"order_reference=" + b"o" * 64, b"order_reference=" + b"o" * 65, b"created_from=x",
)  # fmt: skip
_QUEUES = (
    *_PAGES, b"status=open", b"status=paid", b"code=late", b"code=unmatched", b"code=",
    b"payment_id=" + PAYMENT_ID.encode(), b"payment_id=x", b"order_reference=o-1",
    b"status=open&code=overpaid", b"order_reference=%0A",
)  # fmt: skip
_AFTER = (
    b"", b"after=0", b"after=-1", b"after=9007199254740991", b"after=9007199254740992", b"after=x",
    b"after=9223372036854775808",
)  # fmt: skip
_KEY = CREDENTIALS | {"idempotency-key": "key-1"}
CALLS = [
    Call("createPayment", "POST", "/v1/payments", WRITE, PAY, _schema("CreatePaymentRequest")),
    Call("createRefund", "POST", f"{_ONE}/refunds", WRITE, REFUND, _schema("CreateRefundRequest")),
    Call("receivePayosWebhook", "POST", "/v1/webhooks/payos", JSON, HOOK, _schema("PayosWebhook")),
    Call("receiveStripeWebhook", "POST", "/v1/webhooks/stripe", JSON, EVENT,
         _schema("StripeWebhook")),
    Call("cancelPayment", "POST", f"{_ONE}/cancel", WRITE, {"reason": "x"},
         _schema("CancelPaymentRequest")),
    Call("cancelPayment", "POST", f"{_ONE}/cancel", _KEY),
    Call("listPayments", "GET", "/v1/payments", CREDENTIALS, queries=_LISTS),
    Call("listRefunds", "GET", f"{_ONE}/refunds", CREDENTIALS, queries=_PAGES),
    Call("getPaymentTimeline", "GET", f"{_ONE}/timeline", CREDENTIALS, queries=_AFTER),
    Call("getPayment", "GET", _ONE, CREDENTIALS),
    Call("getRefund", "GET", f"{_ONE}/refunds/{REFUND_ID}", CREDENTIALS),
    Call("resolveException", "POST", _DECISION, WRITE, RESOLVE,
         _schema("ResolveExceptionRequest")),
    Call("resolveException", "POST", _DECISION, WRITE, {"action": "keep", "reason": "r"},
         _schema("ResolveExceptionRequest")),
    Call("listExceptions", "GET", "/v1/exceptions", CREDENTIALS, queries=_QUEUES),
    Call("getException", "GET", f"/v1/exceptions/{EXCEPTION_ID}", CREDENTIALS),
    Call("getQrCode", "GET", f"/v1/qr-codes/{QR_TOKEN}", {}),
    Call("getHealth", "GET", "/v1/health", {}),
]  # fmt: skip
WEIGHTS = [5, 4, 4, 2, 1, 1, 2, 1, 1, 1, 1, 3, 1, 1, 1, 1, 1]
ODD_REQUEST_HEADERS = {
    "content-type": [
        "", "application/json", "APPLICATION/JSON", "application/json; charset=utf-8",
        "application/json;", "application/json; a", "text/plain", "application/problem+json", "*/*",
    ],
    "authorization": ["", "Bearer", "Bearer x", "bearer x", "Basic x", "Bearer  x"],
    "idempotency-key": ["", "a", '"a"', '"', "a b", "a\n", "a" * 255, "a" * 256,
                        '"' + "a" * 255 + '"', "é", "a\\b", "a" * 257],
}  # fmt: skip
ODD_IDS = [
    PAYMENT_ID + "\n", PAYMENT_ID[:-1], PAYMENT_ID + "0", PAYMENT_ID.upper(), "x", "pay_", "%",
    REFUND_ID, QR_TOKEN, QR_TOKEN + "\n",
]  # fmt: skip


@dataclass(frozen=True)
class Reply:
    """A response that the contract accepts."""

    operation: str
    method: str
    path: str
    status: int
    headers: dict[str, str]
    body: Any
    schema: Any


PROBLEM = {
    "type": "https://x#NOT_FOUND", "title": "Not found", "status": 404, "code": "NOT_FOUND",
    "request_id": "r", "retryable": False, "errors": [{"detail": "d", "pointer": "/a"}],
}  # fmt: skip
_LIMITS = {"ratelimit": '"requests";r=9;t=1', "ratelimit-policy": '"a";q=9;w=9, "b";q=9;w=9'}
_PROBLEM = {"content-type": "application/problem+json", "retry-after": "2"} | _LIMITS
_PAYMENT, _REFUND = example("PaidPayment"), example("PendingRefund")
_PENDING = example("PendingPayment") | {
    "exceptions": [
        {
            "exception_id": EXCEPTION_ID,
            "code": "late",
            "amount": 1,
            "raised_at": "2026-11-24T03:15:00Z",
        }
    ],
    "metadata": {"a": "b"},
}
_CREATED = JSON | {"location": "/v1/x", "idempotent-replayed": "true"} | _LIMITS
REPLIES = [
    Reply("createPayment", "POST", "/v1/payments", 201, _CREATED, _PENDING, _schema("Payment")),
    Reply("getPayment", "GET", _ONE, 200, JSON, _PAYMENT, _schema("Payment")),
    Reply("createRefund", "POST", f"{_ONE}/refunds", 201, _CREATED, _REFUND, _schema("Refund")),
    Reply("listPayments", "GET", "/v1/payments", 200, JSON,
          {"data": [_PENDING], "next_cursor": "c"}, _schema("PaymentPage")),
    Reply("listRefunds", "GET", f"{_ONE}/refunds", 200, JSON,
          {"data": [_REFUND], "next_cursor": None}, _schema("RefundPage")),
    Reply("getPaymentTimeline", "GET", f"{_ONE}/timeline", 200, JSON, TIMELINE,
          _schema("Timeline")),
    Reply("getException", "GET", f"/v1/exceptions/{EXCEPTION_ID}", 200, JSON,
          example("LateException"), _schema("MoneyException")),
    Reply("resolveException", "POST", _DECISION, 200, JSON | {"idempotent-replayed": "true"},
          example("RefundedException"), _schema("MoneyException")),
    Reply("listExceptions", "GET", "/v1/exceptions", 200, JSON,
          {"data": [example("AppliedException")], "next_cursor": "c"},
          _schema("MoneyExceptionPage")),
    Reply("receivePayosWebhook", "POST", "/v1/webhooks/payos", 200, JSON, {"success": True},
          _schema("WebhookAcknowledgement")),
    Reply("receiveStripeWebhook", "POST", "/v1/webhooks/stripe", 200, JSON, {"success": True},
          _schema("WebhookAcknowledgement")),
    Reply("getHealth", "GET", "/v1/health", 200, JSON, {"status": "ok", "version": "1"},
          _schema("Health")),
    Reply("createPayment", "POST", "/v1/payments", 409, _PROBLEM, PROBLEM, _schema("Problem")),
    Reply("createRefund", "POST", f"{_ONE}/refunds", 503, _PROBLEM, PROBLEM, _schema("Problem")),
    Reply("getQrCode", "GET", f"/v1/qr-codes/{QR_TOKEN}", 200,
          {"content-type": "image/png", "cache-control": "immutable"}, None, None),
]  # fmt: skip
REPLY_WEIGHTS = [4, 3, 3, 1, 1, 1, 2, 1, 1, 1, 1, 1, 2, 2, 1]
ODD_RESPONSE_HEADERS = {
    "content-type": ["", "application/json", "application/json; charset=utf-8", "text/plain",
                     "application/problem+json", "image/png", "application/json;"],
    "location": ["", "/", "x" * 2048, "x" * 2049],
    "idempotent-replayed": ["true", "false", "TRUE", "1", "", "maybe"],
    "retry-after": ["0", "86400", "86401", "-1", "x", "", "1.0"],
    "cache-control": ["", "x" * 200, "x" * 201],
    "ratelimit": ["", '"a";r=9;t=1\n', '"a";r=-1;t=1', '"A";r=1;t=1', '"b";r=999999999;t=9999'],
    "ratelimit-policy": ["", '"a";q=9;w=9', '"a";q=9;w=9, "b";q=9', '"a";q=1;w=1, "b";q=2;w=2'],
}  # fmt: skip
STATUSES = [200, 201, 204, 302, 400, 404, 409, 422, 500, 503, 599]
