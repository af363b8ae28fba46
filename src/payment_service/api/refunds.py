"""Handlers of refunds."""

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
from payment_service.domain.clock import Clock
from payment_service.domain.idempotency import StoredResponse
from payment_service.domain.refund import BankAccount, RefundReason
from payment_service.providers.provider import PaymentProvider
from payment_service.storage import payments, refunds
from payment_service.storage.database import Database, Session
from payment_service.storage.models import Refund
from payment_service.telemetry.masking import Masked
from payment_service.use_cases.create_refund import CreateRefund, create_refund


class RefundHandlers:
    """Implements `RefundsApi`."""

    def __init__(
        self, database: Database, provider: PaymentProvider, clock: Clock, hooks: Hooks
    ) -> None:
        self._database = database
        self._provider = provider
        self._clock = clock
        self._hooks = hooks

    async def create_refund(
        self,
        context: Context,
        /,
        *,
        body: contract.CreateRefundRequest,
        payment_id: str,
        idempotency_key: str,
    ) -> routes.CreateRefundResult:
        """Refund a payment."""
        command = CreateRefund(
            request=idempotent_request(context, idempotency_key),
            actor=actor_of(context),
            payment_id=payment_id,
            amount=body.amount,
            reason=RefundReason(body.reason),
            reference=given(body.reference),
            destination=account_of(body.destination),
        )
        answer = await create_refund(
            self._database,
            self._provider,
            self._clock,
            command,
            render=_render,
            render_error=error_renderer(context, self._hooks),
        )
        return send(answer)

    async def list_refunds(
        self, context: Context, /, *, payment_id: str, limit: int, cursor: str | UnsetType
    ) -> routes.ListRefundsResult:
        """List the refunds of a payment."""
        tenant_id = principal_of(context).tenant_id
        text = given(cursor)
        before = cursors.decode(text, tenant_id, payment_id) if text else None

        async def read(session: Session) -> list[Refund]:
            await payments.get_payment(session, tenant_id, payment_id)
            return list(
                await refunds.list_refunds(session, payment_id, limit=limit + 1, before=before)
            )

        rows = await self._database.read(read)
        following = None
        if len(rows) > limit:
            last = rows[limit - 1]
            following = cursors.encode((last.created_at, last.id), tenant_id, payment_id)
        page = contract.RefundPage(
            data=[views.refund_view(row) for row in rows[:limit]], next_cursor=following
        )
        return routes.ListRefunds200(body=page)

    async def get_refund(
        self, context: Context, /, *, payment_id: str, refund_id: str
    ) -> routes.GetRefundResult:
        """Read a refund."""
        tenant_id = principal_of(context).tenant_id
        refund = await self._database.read(
            lambda session: refunds.get_refund(session, tenant_id, payment_id, refund_id)
        )
        return routes.GetRefund200(body=views.refund_view(refund))


def account_of(
    destination: contract.SourceDestination | contract.BankAccountDestination,
) -> BankAccount | None:
    """Read where money goes; None is the account that paid."""
    if isinstance(destination, contract.SourceDestination):
        return None
    name = given(destination.account_name)
    return BankAccount(
        destination.bank_bin, Masked(destination.account_number), Masked(name) if name else None
    )


def _render(refund: Refund) -> StoredResponse:
    location = f"/v1/payments/{refund.payment_id}/refunds/{refund.id}"
    return stored(routes.CreateRefund201(body=views.refund_view(refund), location=location))
