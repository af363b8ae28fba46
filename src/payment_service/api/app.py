"""The API as an ASGI application."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from generated.api import routes
from generated.api.problems import PROBLEM_TYPES
from openapi_runtime.contract import Contract, Mode
from openapi_runtime.endpoint import Hooks
from openapi_runtime.http_guard import Refusals, guarded
from openapi_runtime.operations import Context
from openapi_runtime.problems import Problem, ProblemType
from openapi_runtime.routing import Application
from payment_service import failpoints
from payment_service.api.answers import problem_base
from payment_service.api.auth import Security, TokenVerifier
from payment_service.api.docs import docs_routes
from payment_service.api.exceptions import ExceptionHandlers
from payment_service.api.payments import PaymentHandlers
from payment_service.api.problems import problem_of
from payment_service.api.rates import RateLimits
from payment_service.api.refunds import RefundHandlers
from payment_service.api.sources import Network, Sources
from payment_service.api.system import SystemHandlers
from payment_service.api.webhooks import WebhookHandlers
from payment_service.domain.clock import Clock
from payment_service.domain.errors import IdempotencyInProgress, IdempotencyKeyReused
from payment_service.domain.ids import is_id, new_id
from payment_service.domain.return_url import ReturnUrls
from payment_service.providers.provider import PaymentProvider
from payment_service.storage.database import Database
from payment_service.telemetry import request_spans, tracing
from payment_service.telemetry.logging import bind, get_logger
from payment_service.telemetry.metrics import UNMATCHED, Metrics

log = get_logger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
KEY_ERRORS = {IdempotencyKeyReused: "reused", IdempotencyInProgress: "in_progress"}
OPERATIONS = tuple(operation.id for operation in routes.OPERATIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the operator allows.

    Attributes:
        proxies: Our own, whose X-Forwarded-For is believed.
        webhook_sources: Where webhooks may come from; empty is anywhere.
        return_urls: Where payers may be sent.
        rates: How much each tenant may ask; None is any amount.
    """

    proxies: Sequence[Network]
    webhook_sources: Sequence[Network]
    return_urls: ReturnUrls
    rates: RateLimits | None


def create_app(
    *,
    database: Database,
    provider: PaymentProvider,
    clock: Clock,
    metrics: Metrics,
    verifier: TokenVerifier,
    policy: Policy,
    public_url: str,
    version: str,
    contract_mode: Mode,
    on_write: Callable[[], None],
) -> Application:
    """Build the application; `on_write` is called after every request that may have written.

    Raises:
        HandlersMismatch: The handlers are not the contract's.
        UnplannedOperation: The contract cannot be compiled.
    """
    contract = _contract(contract_mode)
    hooks = _hooks(clock, metrics, public_url, on_write)
    metrics.watch_contract_checks(lambda: _verdicts(contract))
    table = routes.build_routes(
        contract,
        security=Security(verifier, policy.rates),
        payments=PaymentHandlers(database, provider, clock, hooks, public_url, policy.return_urls),
        refunds=RefundHandlers(database, provider, clock, hooks),
        exceptions=ExceptionHandlers(database, provider, clock, hooks),
        webhooks=WebhookHandlers(
            database,
            provider,
            clock,
            metrics,
            sources=Sources(policy.proxies),
            allowed=policy.webhook_sources,
        ),
        system=SystemHandlers(version),
        hooks=hooks,
    )
    return Application([*table, *docs_routes()], hooks)


@cache
def _contract(mode: Mode) -> Contract:
    """Compile the contract: once a process, however many applications it builds."""
    return Contract.load(Path(str(files("generated.api") / "openapi.json")), mode)


def _verdicts(contract: Contract) -> dict[str, int]:
    stats = contract.stats
    return {"fast": stats.fast, "slow": stats.slow, "crashed": stats.crashed}


def _hooks(clock: Clock, metrics: Metrics, public_url: str, on_write: Callable[[], None]) -> Hooks:
    # Kept: it takes longer to find a series than to count in it, and a logger is made anew else.
    requests, seconds_of = cache(metrics.http_requests.labels), cache(metrics.http_seconds.labels)
    served = log.bind()

    def new_request_id(sent: str | None) -> str:
        return sent if sent and _REQUEST_ID.fullmatch(sent) else new_id("req", clock())

    def on_request(context: Context) -> None:
        operation = context.operation
        request_spans.name_request(operation.method, operation.path)
        ours = {name: text for name, text in context.path_params.items() if is_id(text)}
        bind(request_id=context.request_id, **ours)
        tracing.mark(request_id=context.request_id, **ours)

    def on_miss(request_id: str, status: int) -> None:
        metrics.http_requests.labels(UNMATCHED, f"{status // 100}xx").inc()
        log.info("request.unmatched", request_id=request_id, status=status)

    def on_error(error: Exception, context: Context) -> Problem | None:
        outcome = KEY_ERRORS.get(type(error))
        if outcome is not None:
            metrics.idempotency.labels(outcome).inc()
        problem = problem_of(error, context)
        if problem is None:
            metrics.unhandled_errors.labels("api").inc()
        return problem

    def on_violation(context: Context) -> None:
        metrics.contract_violations.labels(context.operation.id).inc()

    def on_response(context: Context, status: int, seconds: float) -> None:
        operation = context.operation
        failpoints.passed_next_turn(f"answer.{operation.id}:after")
        requests(operation.id, f"{status // 100}xx").inc()
        seconds_of(operation.id).observe(seconds, tracing.exemplar())
        served.info(
            "request.served",
            operation=operation.id,
            status=status,
            duration_ms=round(seconds * 1000, 2),
        )
        if operation.method != "GET":
            on_write()

    return Hooks(
        problem_types=PROBLEM_TYPES,
        problem_base=problem_base(public_url),
        new_request_id=new_request_id,
        on_request=on_request,
        on_miss=on_miss,
        on_error=on_error,
        on_violation=on_violation,
        on_response=on_response,
    )


def http_guard(clock: Clock, metrics: Metrics, public_url: str) -> type[HttpToolsProtocol]:
    """Make the protocol that refuses what is not a proper request, with the contract's problems."""

    def on_refusal(kind: ProblemType) -> None:
        metrics.http_requests.labels(UNMATCHED, f"{kind.status // 100}xx").inc()

    refusals = Refusals(
        problem_types=PROBLEM_TYPES,
        problem_base=problem_base(public_url),
        new_request_id=lambda: new_id("req", clock()),
        on_refusal=on_refusal,
    )
    return guarded(refusals)
