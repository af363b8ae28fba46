"""The real contract on stub handlers, which answer what a test tells them."""

from collections.abc import Iterable, MutableSequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from generated.api import models, routes
from generated.api.problems import PROBLEM_TYPES
from openapi_runtime.hooks import Hooks
from openapi_runtime.operations import Context
from openapi_runtime.problems import Problem
from openapi_runtime.routing import Application
from openapi_runtime.validation import Contract, Mode

ROOT = Path(__file__).parents[2]
CONTRACT_FILE = ROOT / "generated" / "api" / "openapi.json"
DOCUMENT: dict[str, Any] = msgspec.json.decode(CONTRACT_FILE.read_bytes())
PAYMENT_ID = "pay_01k0c3v8k2x7zq4d9m5n6p7r8s"
REFUND_ID = "ref_01k0c4a2b3c4d5e6f7g8h9jkmn"
EXCEPTION_ID = "exc_01k0c5q3r4s5t6v7w8x9yz0a1b"
QR_TOKEN = "Zk3vQ0m7xX2pYt9aB5cD8eF1gH4iJ6kL"
MINTED = "minted-request-id"


def example(name: str) -> Any:
    """Copy an example of the contract."""
    return msgspec.json.decode(
        msgspec.json.encode(DOCUMENT["components"]["examples"][name]["value"])
    )


def request_example(path: str, name: str) -> Any:
    """Copy an example of a POST's body."""
    body = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    return msgspec.json.decode(msgspec.json.encode(body["examples"][name]["value"]))


PAY = request_example("/v1/payments", "withExpiry")
REFUND = request_example("/v1/payments/{payment_id}/refunds", "toAnAccount")
RESOLVE = request_example("/v1/exceptions/{exception_id}/resolve", "refundToAnAccount")
HOOK = request_example("/v1/webhooks/payos", "transfer")
EVENT = request_example("/v1/webhooks/stripe", "charge")
TIMELINE = {
    "payment_id": PAYMENT_ID,
    "entries": [
        {"position": 1, "at": "2026-11-24T03:15:00Z", "actor": "client", "action": "created"}
    ],
    "next_after": None,
}


def _results() -> dict[str, Any]:
    payment = msgspec.convert(example("PendingPayment"), models.Payment)
    refund = msgspec.convert(example("PendingRefund"), models.Refund)
    exception = msgspec.convert(example("LateException"), models.MoneyException)
    timeline = msgspec.convert(TIMELINE, models.Timeline)
    return {
        "create_payment": routes.CreatePayment201(body=payment, location="/v1/payments/x"),
        "get_payment": routes.GetPayment200(body=payment),
        "list_payments": routes.ListPayments200(
            body=models.PaymentPage(data=[payment], next_cursor=None)
        ),
        "cancel_payment": routes.CancelPayment200(body=payment),
        "get_payment_timeline": routes.GetPaymentTimeline200(body=timeline),
        "get_qr_code": routes.GetQrCode200(body=b"\x89PNG", cache_control="immutable"),
        "create_refund": routes.CreateRefund201(body=refund, location="/v1/refunds/x"),
        "get_refund": routes.GetRefund200(body=refund),
        "list_refunds": routes.ListRefunds200(
            body=models.RefundPage(data=[refund], next_cursor=None)
        ),
        "get_exception": routes.GetException200(body=exception),
        "list_exceptions": routes.ListExceptions200(
            body=models.MoneyExceptionPage(data=[exception], next_cursor=None)
        ),
        "resolve_exception": routes.ResolveException200(body=exception),
        "receive_payos_webhook": routes.ReceivePayosWebhook200(
            body=models.WebhookAcknowledgement(success=True)
        ),
        "receive_stripe_webhook": routes.ReceiveStripeWebhook200(
            body=models.WebhookAcknowledgement(success=True)
        ),
        "get_health": routes.GetHealth200(
            body=models.Health(status=models.HealthStatus.OK, version="1")
        ),
    }


@dataclass
class Stub:
    """What the handlers answer, and what they were called with."""

    answers: dict[str, Any] = field(default_factory=_results)
    calls: MutableSequence[tuple[str, Context, dict[str, Any]]] = field(default_factory=list)

    def answer(self, name: str, context: Context, **arguments: Any) -> Any:
        """Record a call and return, or raise, its answer."""
        self.calls.append((name, context, arguments))
        answer = self.answers[name]
        if isinstance(answer, Exception) and not isinstance(answer, Problem):
            raise answer
        return answer


class Payments:
    """Implements PaymentsApi."""

    def __init__(self, stub: Stub) -> None:
        self._stub = stub

    async def create_payment(
        self, context: Context, /, *, body: models.CreatePaymentRequest, idempotency_key: str
    ) -> routes.CreatePaymentResult:
        return self._stub.answer("create_payment", context, body=body, key=idempotency_key)

    async def get_payment(self, context: Context, /, *, payment_id: str) -> routes.GetPaymentResult:
        return self._stub.answer("get_payment", context, payment_id=payment_id)

    async def list_payments(
        self, context: Context, /, *, limit, cursor, status, order_reference, created_from,
        created_before,
    ) -> routes.ListPaymentsResult:  # fmt: skip
        return self._stub.answer(
            "list_payments", context, limit=limit, cursor=cursor, status=status,
            order_reference=order_reference, created_from=created_from,
            created_before=created_before,
        )  # fmt: skip

    async def cancel_payment(
        self, context: Context, /, *, body, payment_id: str, idempotency_key: str
    ) -> routes.CancelPaymentResult:
        return self._stub.answer("cancel_payment", context, body=body, payment_id=payment_id)

    async def get_payment_timeline(
        self, context: Context, /, *, payment_id: str, limit: int, after
    ) -> routes.GetPaymentTimelineResult:
        return self._stub.answer("get_payment_timeline", context, limit=limit, after=after)

    async def get_qr_code(self, context: Context, /, *, qr_token: str) -> routes.GetQrCodeResult:
        return self._stub.answer("get_qr_code", context, qr_token=qr_token)


class Refunds:
    """Implements RefundsApi."""

    def __init__(self, stub: Stub) -> None:
        self._stub = stub

    async def create_refund(
        self, context: Context, /, *, body, payment_id: str, idempotency_key: str
    ) -> routes.CreateRefundResult:
        return self._stub.answer("create_refund", context, body=body)

    async def get_refund(
        self, context: Context, /, *, payment_id: str, refund_id: str
    ) -> routes.GetRefundResult:
        return self._stub.answer("get_refund", context, refund_id=refund_id)

    async def list_refunds(
        self, context: Context, /, *, payment_id: str, limit: int, cursor
    ) -> routes.ListRefundsResult:
        return self._stub.answer("list_refunds", context, limit=limit)


class Exceptions:
    """Implements ExceptionsApi."""

    def __init__(self, stub: Stub) -> None:
        self._stub = stub

    async def get_exception(
        self, context: Context, /, *, exception_id: str
    ) -> routes.GetExceptionResult:
        return self._stub.answer("get_exception", context, exception_id=exception_id)

    async def list_exceptions(
        self, context: Context, /, *, limit: int, cursor, status, code, payment_id, order_reference
    ) -> routes.ListExceptionsResult:
        return self._stub.answer("list_exceptions", context, limit=limit, status=status, code=code)

    async def resolve_exception(
        self, context: Context, /, *, body, exception_id: str, idempotency_key: str
    ) -> routes.ResolveExceptionResult:
        return self._stub.answer("resolve_exception", context, body=body)


class Webhooks:
    """Implements WebhooksApi."""

    def __init__(self, stub: Stub) -> None:
        self._stub = stub

    async def receive_payos_webhook(
        self, context: Context, /, *, body: models.PayosWebhook
    ) -> routes.ReceivePayosWebhookResult:
        return self._stub.answer("receive_payos_webhook", context, body=body)

    async def receive_stripe_webhook(
        self, context: Context, /, *, body: models.StripeWebhook
    ) -> routes.ReceiveStripeWebhookResult:
        return self._stub.answer("receive_stripe_webhook", context, body=body)


class System:
    """Implements SystemApi."""

    def __init__(self, stub: Stub) -> None:
        self._stub = stub

    async def get_health(self, context: Context, /) -> routes.GetHealthResult:
        return self._stub.answer("get_health", context)


class Security:
    """Implements SecurityApi: every token but none is good."""

    async def bearer_auth(
        self, context: Context, credential: str, scopes: tuple[str, ...], /
    ) -> str:
        if not credential:
            raise Problem(PROBLEM_TYPES["UNAUTHENTICATED"], headers={"www-authenticate": "Bearer"})
        return credential


def make_hooks(**changes: Any) -> Hooks:
    """Hooks for tests."""
    settings: dict[str, Any] = {
        "problem_types": PROBLEM_TYPES,
        "problem_base": "https://payments.example/docs/errors",
        "new_request_id": lambda sent: sent or MINTED,
    }
    return Hooks(**settings | changes)


@cache
def load_contract(mode: Mode) -> Contract:
    """Load the contract once for all tests that do not count decisions."""
    return Contract.load(CONTRACT_FILE, mode)


def make_app(
    stub: Stub | None = None, *, mode: Mode = "compiled", contract: Contract | None = None,
    **hooks: Any,
) -> Application:  # fmt: skip
    """Build the application of the real contract on stub handlers."""
    stub = stub or Stub()
    made = make_hooks(**hooks)
    table = routes.build_routes(
        contract or load_contract(mode),
        security=Security(),
        payments=Payments(stub),
        refunds=Refunds(stub),
        exceptions=Exceptions(stub),
        webhooks=Webhooks(stub),
        system=System(stub),
        hooks=made,
    )
    return Application(table, made)


@dataclass(frozen=True)
class Answer:
    """What came back over ASGI."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return msgspec.json.decode(self.body)


CREDENTIALS = {"authorization": "Bearer token"}
JSON = {"content-type": "application/json"}
WRITE = CREDENTIALS | JSON | {"idempotency-key": "key-1"}


def make_scope(
    method: str, path: str, headers: dict[str, str] | list[tuple[bytes, bytes]], query: bytes = b""
) -> dict[str, Any]:
    """Make an ASGI scope, with byte for byte the headers that are given."""
    if isinstance(headers, dict):
        headers = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in headers.items()]
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": query,
        "root_path": "", "headers": headers, "client": ("192.0.2.7", 1), "server": ("test", 80),
    }  # fmt: skip


async def call(
    app: Any,
    method: str,
    path: str,
    headers: dict[str, str] | list[tuple[bytes, bytes]] | None = None,
    body: Any = b"",
    *,
    query: bytes = b"",
) -> Answer:
    """Send one request without a client in between that would repair it."""
    chunks: Iterable[bytes] = [body if isinstance(body, bytes) else msgspec.json.encode(body)]
    waiting = iter(list(chunks))
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": next(waiting), "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(make_scope(method, path, headers or {}, query), receive, send)
    start, *rest = sent
    text = {k.decode("latin-1"): v.decode("latin-1") for k, v in start["headers"]}
    assert len(text) == len(start["headers"]), "a header was sent twice"
    return Answer(start["status"], text, b"".join(m["body"] for m in rest))
