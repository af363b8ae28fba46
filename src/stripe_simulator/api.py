"""The endpoints of Stripe's API that a checkout needs."""

import functools
import hashlib
import secrets
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from stripe_simulator.books import Ledger, Refused, Reply, Session, missing
from stripe_simulator.config import Config
from stripe_simulator.form import nest
from stripe_simulator.objects import Objects, page_of
from stripe_simulator.webhooks import Webhooks

Form = dict[str, Any]
Handler = Callable[[Request, Form], Awaitable[dict[str, Any]]]

# What is taken of each request. The real ones take more, and refuse what they do not know, too.
_TAKEN = {
    "create": {
        "mode", "client_reference_id", "metadata", "payment_intent_data", "line_items",
        "allowed_payment_method_types", "adaptive_pricing", "success_url", "cancel_url",
        "expires_at", "expand",
    },
    "update": {"metadata", "expand"},
    "expire": {"expand"},
    "refund": {"charge", "payment_intent", "amount", "metadata", "reason", "expand"},
    "page": {"created", "limit", "starting_after", "status", "payment_intent", "charge", "expand"},
    "one": {"expand"},
    "endpoint": {"url", "enabled_events", "disabled", "api_version", "metadata", "expand"},
}  # fmt: skip


class Api:
    """The API under /v1."""

    def __init__(
        self, config: Config, ledger: Ledger, objects: Objects, webhooks: Webhooks
    ) -> None:
        self._config = config
        self._ledger = ledger
        self._objects = objects
        self._webhooks = webhooks

    def routes(self) -> list[Route]:
        """List the endpoints."""
        sessions, hooks = "/v1/checkout/sessions", "/v1/webhook_endpoints"
        table: list[tuple[str, str, str, Handler]] = [
            (sessions, "POST", "create", self.create_session),
            (sessions, "GET", "page", self.list_sessions),
            (sessions + "/{name}", "GET", "one", self.get_session),
            (sessions + "/{name}", "POST", "update", self.update_session),
            (sessions + "/{name}/expire", "POST", "expire", self.expire_session),
            ("/v1/payment_intents/{name}", "GET", "one", self.get_intent),
            ("/v1/charges/{name}", "GET", "one", self.get_charge),
            ("/v1/refunds", "POST", "refund", self.create_refund),
            ("/v1/refunds", "GET", "page", self.list_refunds),
            ("/v1/refunds/{name}", "GET", "one", self.get_refund),
            (hooks, "GET", "page", self.list_endpoints),
            (hooks + "/{name}", "POST", "endpoint", self.update_endpoint),
        ]
        return [
            Route(path, self._guarded(handler, taken), methods=[method])
            for path, method, taken, handler in table
        ]

    async def create_session(self, _request: Request, form: Form) -> dict[str, Any]:
        """Make a session."""
        _require(form.get("mode") == "payment", "mode")
        _require("://" in str(form.get("success_url")), "success_url")
        lines = form.get("line_items")
        _require(isinstance(lines, list) and len(lines) == 1, "line_items")
        price = lines[0].get("price_data", {}) if lines else {}
        _require(price.get("currency") == "vnd", "line_items[0][price_data][currency]")
        amount = _whole(price.get("unit_amount"), "unit_amount") * _whole(
            lines[0].get("quantity") if lines else None, "quantity"
        )
        self._check_amount(amount)
        expires_at = form.get("expires_at")
        intent = form.get("payment_intent_data", {})
        session = self._ledger.open_session(
            amount=amount,
            client_reference_id=form.get("client_reference_id"),
            metadata=form.get("metadata", {}),
            intent_metadata=intent.get("metadata", {}),
            item=price.get("product_data", {}).get("name", ""),
            success_url=form["success_url"],
            cancel_url=form.get("cancel_url"),
            expires_at=_whole(expires_at, "expires_at") if expires_at else None,
        )
        return self._objects.session(session, form.get("expand"))

    async def list_sessions(self, request: Request, form: Form) -> dict[str, Any]:
        """List sessions."""
        entries = [self._objects.session(each) for each in self._ledger.books.sessions.values()]
        return page_of(entries, form, request.url.path)

    async def get_session(self, request: Request, form: Form) -> dict[str, Any]:
        """Tell the state of a session."""
        return self._objects.session(self._session(request), form.get("expand"))

    async def update_session(self, request: Request, form: Form) -> dict[str, Any]:
        """Add to the metadata of a session."""
        session = self._session(request)
        session.metadata = session.metadata | form.get("metadata", {})
        self._ledger.on_change()
        return self._objects.session(session, form.get("expand"))

    async def expire_session(self, request: Request, form: Form) -> dict[str, Any]:
        """Close a session."""
        session = self._session(request)
        self._ledger.expire(session)
        self._webhooks.tell("checkout.session.expired", self._objects.session(session))
        return self._objects.session(session, form.get("expand"))

    async def get_intent(self, request: Request, form: Form) -> dict[str, Any]:
        """Tell the state of a payment."""
        name = request.path_params["name"]
        for session in self._ledger.books.sessions.values():
            if session.intent == name and session.charges:
                return self._objects.intent(session, form.get("expand"))
        raise missing("payment_intent", name)

    async def get_charge(self, request: Request, _form: Form) -> dict[str, Any]:
        """Tell of a charge."""
        session, charge = self._ledger.charge(request.path_params["name"])
        return self._objects.charge(charge, session)

    async def create_refund(self, _request: Request, form: Form) -> dict[str, Any]:
        """Send money back to the card that paid."""
        session, charge = self._ledger.charge(str(form.get("charge")))
        amount = _whole(form.get("amount", charge.amount), "amount")
        refund = self._ledger.refund(charge, amount, form.get("metadata", {}))
        self._webhooks.tell("charge.refunded", self._objects.charge(charge, session))
        self._webhooks.tell("refund.created", self._objects.refund(refund))
        return self._objects.refund(refund)

    async def list_refunds(self, request: Request, form: Form) -> dict[str, Any]:
        """List refunds."""
        entries = [self._objects.refund(each) for each in self._ledger.books.refunds.values()]
        return page_of(entries, form, request.url.path)

    async def get_refund(self, request: Request, _form: Form) -> dict[str, Any]:
        """Tell the state of a refund."""
        name = request.path_params["name"]
        refund = self._ledger.books.refunds.get(name)
        if refund is None:
            raise missing("refund", name)
        return self._objects.refund(refund)

    async def list_endpoints(self, request: Request, form: Form) -> dict[str, Any]:
        """List where webhooks go."""
        there = self._ledger.books.webhook_url is not None
        return page_of([self._objects.endpoint()] if there else [], form, request.url.path)

    async def update_endpoint(self, request: Request, form: Form) -> dict[str, Any]:
        """Say which webhooks go there."""
        self._ledger.books.enabled_events = form.get("enabled_events", ["*"])
        self._ledger.on_change()
        return self._objects.endpoint()

    def _session(self, request: Request) -> Session:
        name = request.path_params["name"]
        session = self._ledger.books.sessions.get(name)
        if session is None:
            raise missing("checkout.session", name)
        return session

    def _check_amount(self, amount: int) -> None:
        if amount < self._config.amount_min:
            raise Refused(
                "The Checkout Session's total amount must convert to at least 50 cents.",
                code="amount_too_small",
            )
        if amount > self._config.amount_max:
            raise Refused("The amount is too large.", code="amount_too_large")

    def _guarded(self, handler: Handler, taken: str) -> Callable[[Request], Awaitable[Response]]:
        """Check key and names before a handler, repeat known answers, and write refusals."""

        @functools.wraps(handler)
        async def handle(request: Request) -> Response:
            try:
                self._check_key(request)
                raw = await request.body() if request.method == "POST" else request.url.query
                text = raw.decode() if isinstance(raw, bytes) else raw
                known, digest = self._recall(request, text)
                if known is not None:
                    return _answer(known.status, known.body, {"idempotent-replayed": "true"})
                form = _form(text, _TAKEN[taken])
                body = await handler(request, form)
            except Refused as error:
                return _answer(error.status, {"error": error.error})
            self._keep(request, digest, body)
            return _answer(200, body)

        return handle

    def _check_key(self, request: Request) -> None:
        if request.headers.get("authorization") != f"Bearer {self._config.secret_key}":
            raise Refused("Invalid API Key provided", status=401)

    def _recall(self, request: Request, text: str) -> tuple[Reply | None, str]:
        """Find what a request with this key was answered; the key means that request for ever."""
        digest = hashlib.sha256(f"{request.url.path}\n{text}".encode()).hexdigest()
        key = request.headers.get("idempotency-key", "")
        known = self._ledger.books.replies.get(key) if request.method == "POST" else None
        if known is not None and known.digest != digest:
            raise Refused(
                "Keys for idempotent requests can only be used with the same parameters they were "
                "first used with.",
                kind="idempotency_error",
            )
        return known, digest

    def _keep(self, request: Request, digest: str, body: dict[str, Any]) -> None:
        key = request.headers.get("idempotency-key")
        if request.method == "POST" and key:
            self._ledger.books.replies[key] = Reply(digest=digest, status=200, body=body)


def _answer(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    told = {"request-id": f"req_{secrets.token_hex(7)}", **(headers or {})}
    return JSONResponse(body, status_code=status, headers=told)


def _form(text: str, taken: set[str]) -> Form:
    try:
        form = nest(parse_qsl(text, keep_blank_values=True))
    except ValueError as error:
        raise Refused(f"Invalid name: {error}") from error
    for name in form:
        if name not in taken:
            raise Refused(
                f"Received unknown parameter: {name}", code="parameter_unknown", param=name
            )
    return form


def _whole(value: Any, name: str) -> int:
    _require(isinstance(value, int) or (isinstance(value, str) and value.isdigit()), name)
    return int(value)


def _require(condition: object, name: str) -> None:
    """Refuse a value that is not acceptable."""
    if not condition:
        raise Refused(f"Invalid or missing: {name}", code="parameter_missing", param=name)
