"""Handlers of money exceptions."""

from typing import assert_never

from generated.api import models as contract, routes
from generated.api.routes import UnsetType
from openapi_runtime.endpoint import Hooks
from openapi_runtime.operations import Context
from payment_service.api import cursors, views
from payment_service.api.answers import stored
from payment_service.api.calls import (
    actor_of,
    error_renderer,
    given,
    idempotent_request,
    principal_of,
    send,
)
from payment_service.api.refunds import account_of
from payment_service.domain.clock import Clock
from payment_service.domain.idempotency import StoredResponse
from payment_service.providers.provider import PaymentProvider
from payment_service.storage import exceptions
from payment_service.storage.database import Database
from payment_service.storage.exceptions import Case, Filters
from payment_service.use_cases.resolve_exception import (
    Apply,
    Keep,
    Refund,
    ResolveException,
    resolve_exception,
)


class ExceptionHandlers:
    """Implements `ExceptionsApi`."""

    def __init__(
        self, database: Database, provider: PaymentProvider, clock: Clock, hooks: Hooks
    ) -> None:
        self._database = database
        self._provider = provider
        self._clock = clock
        self._hooks = hooks

    async def list_exceptions(
        self,
        context: Context,
        /,
        *,
        limit: int,
        cursor: str | UnsetType,
        status: contract.ExceptionStatus | UnsetType,
        code: contract.PaymentExceptionCode | UnsetType,
        payment_id: str | UnsetType,
        order_reference: str | UnsetType,
    ) -> routes.ListExceptionsResult:
        """List the exceptions of a tenant."""
        wanted = given(status)
        filters = Filters(
            tenant_id=principal_of(context).tenant_id,
            is_open=None if wanted is None else wanted == contract.ExceptionStatus.OPEN,
            code=given(code),
            payment_id=given(payment_id),
            order_reference=given(order_reference),
        )
        text = given(cursor)
        after = cursors.decode(text, "exceptions", filters) if text else None
        cases = await self._database.read(
            lambda session: exceptions.list_cases(session, filters, limit=limit + 1, after=after)
        )
        following = None
        if len(cases) > limit:
            last = cases[limit - 1].exception
            following = cursors.encode((last.raised_at, last.id), "exceptions", filters)
        page = contract.MoneyExceptionPage(
            data=[views.exception_view(case) for case in cases[:limit]], next_cursor=following
        )
        return routes.ListExceptions200(body=page)

    async def get_exception(
        self, context: Context, /, *, exception_id: str
    ) -> routes.GetExceptionResult:
        """Read an exception."""
        tenant_id = principal_of(context).tenant_id
        case = await self._database.read(
            lambda session: exceptions.get_case(session, exception_id, tenant_id=tenant_id)
        )
        return routes.GetException200(body=views.exception_view(case))

    async def resolve_exception(
        self,
        context: Context,
        /,
        *,
        body: contract.ResolveExceptionRequest,
        exception_id: str,
        idempotency_key: str,
    ) -> routes.ResolveExceptionResult:
        """Decide about an exception."""
        command = ResolveException(
            exception_id=exception_id,
            tenant_id=principal_of(context).tenant_id,
            decision=_decision(body),
            actor=actor_of(context),
            reason=body.reason,
        )
        answer = await resolve_exception(
            self._database,
            self._provider,
            self._clock,
            command,
            request=idempotent_request(context, idempotency_key),
            render=_render,
            render_error=error_renderer(context, self._hooks),
        )
        return send(answer)


def _decision(body: contract.ResolveExceptionRequest) -> Refund | Apply | Keep:
    match body:
        case contract.RefundResolution():
            return Refund(given(body.amount), account_of(body.destination))
        case contract.ApplyResolution():
            return Apply(body.payment_id)
        case contract.KeepResolution():
            return Keep()
        case _:
            assert_never(body)


def _render(case: Case) -> StoredResponse:
    return stored(routes.ResolveException200(body=views.exception_view(case)))
