"""Handlers of payments."""

import asyncio
from datetime import datetime, timedelta
from functools import lru_cache
from io import BytesIO

import segno

from generated.api import models as contract, routes
from generated.api.routes import UnsetType
from openapi_runtime.endpoint import Hooks
from openapi_runtime.operations import Context
from payment_service.api import cursors, views
from payment_service.api.answers import PaymentAnswers
from payment_service.api.calls import (
    REQUEST_SECONDS,
    actor_of,
    error_renderer,
    given,
    idempotent_request,
    principal_of,
    send,
)
from payment_service.api.inputs import check_free_text, check_return_urls
from payment_service.domain.clock import Clock
from payment_service.domain.errors import NotFound
from payment_service.domain.money import Currency, Money
from payment_service.domain.payment import PaymentStatus
from payment_service.domain.return_url import ReturnUrls
from payment_service.providers import deadline
from payment_service.providers.provider import PaymentProvider
from payment_service.storage import audit, payments
from payment_service.storage.database import Database, Session
from payment_service.storage.models import Payment
from payment_service.storage.shown import get_shown
from payment_service.use_cases.cancel_payment import CancelPayment, cancel_payment
from payment_service.use_cases.create_payment import CreatePayment, create_payment

QR_SCALE = 6  # pixels a module
QR_KEPT_MAX = 512
QR_CACHE_CONTROL = "public, max-age=3600, immutable"


class PaymentHandlers:
    """Implements `PaymentsApi`."""

    def __init__(
        self,
        database: Database,
        provider: PaymentProvider,
        clock: Clock,
        hooks: Hooks,
        public_url: str,
        return_urls: ReturnUrls,
    ) -> None:
        self._database = database
        self._provider = provider
        self._clock = clock
        self._hooks = hooks
        self._public_url = public_url
        self._answers = PaymentAnswers(public_url, clock)
        self._return_urls = return_urls

    async def create_payment(
        self, context: Context, /, *, body: contract.CreatePaymentRequest, idempotency_key: str
    ) -> routes.CreatePaymentResult:
        """Create a payment."""
        urls = {"return_url": body.return_url, "cancel_url": body.cancel_url}
        check_return_urls(self._return_urls, principal_of(context).tenant_id, urls)
        check_free_text("/description", given(body.description))
        check_free_text("/metadata", *(given(body.metadata) or {}).values())
        seconds = given(body.expires_in_seconds)
        command = CreatePayment(
            request=idempotent_request(context, idempotency_key),
            actor=actor_of(context),
            money=Money(body.amount, Currency(body.currency)),
            order_reference=body.order_reference,
            description=given(body.description),
            return_url=body.return_url,
            cancel_url=body.cancel_url,
            expires_in=None if seconds is None else timedelta(seconds=seconds),
            metadata=given(body.metadata) or {},
        )
        with deadline.within(REQUEST_SECONDS):
            answer = await create_payment(
                self._database,
                self._provider,
                self._clock,
                command,
                render=self._answers.created,
                render_error=error_renderer(context, self._hooks),
            )
        return send(answer)

    async def get_payment(self, context: Context, /, *, payment_id: str) -> routes.GetPaymentResult:
        """Read a payment."""
        tenant_id = principal_of(context).tenant_id

        async def read(session: Session) -> contract.Payment:
            payment, attempt, exceptions = await get_shown(session, tenant_id, payment_id)
            return views.payment_view(
                payment, attempt, exceptions, public_url=self._public_url, now=self._clock()
            )

        return routes.GetPayment200(body=await self._database.read(read))

    async def list_payments(
        self,
        context: Context,
        /,
        *,
        limit: int,
        cursor: str | UnsetType,
        status: contract.PaymentStatus | UnsetType,
        order_reference: str | UnsetType,
        created_from: datetime | UnsetType,
        created_before: datetime | UnsetType,
    ) -> routes.ListPaymentsResult:
        """List payments."""
        tenant_id = principal_of(context).tenant_id
        filters = (given(status), given(order_reference), given(created_from),
                   given(created_before))  # fmt: skip
        text = given(cursor)
        before = cursors.decode(text, tenant_id, *filters) if text else None

        async def read(session: Session) -> list[contract.Payment]:
            rows = await payments.list_payments(
                session,
                tenant_id,
                limit=limit + 1,
                before=before,
                status=PaymentStatus(filters[0]) if filters[0] else None,
                order_reference=filters[1],
                created_from=filters[2],
                created_before=filters[3],
            )
            return await self._views(session, list(rows))

        page = await self._database.read(read)
        following = None
        if len(page) > limit:
            last = page[limit - 1]
            following = cursors.encode((last.created_at, last.payment_id), tenant_id, *filters)
        body = contract.PaymentPage(data=page[:limit], next_cursor=following)
        return routes.ListPayments200(body=body)

    async def cancel_payment(
        self,
        context: Context,
        /,
        *,
        body: contract.CancelPaymentRequest | None,
        payment_id: str,
        idempotency_key: str,
    ) -> routes.CancelPaymentResult:
        """Cancel a payment."""
        reason = given(body.reason) if body is not None else None
        check_free_text("/reason", reason)
        command = CancelPayment(
            request=idempotent_request(context, idempotency_key),
            actor=actor_of(context),
            payment_id=payment_id,
            reason=reason,
        )
        with deadline.within(REQUEST_SECONDS):
            answer = await cancel_payment(
                self._database,
                self._provider,
                self._clock,
                command,
                render=self._answers.canceled,
                render_error=error_renderer(context, self._hooks),
            )
        return send(answer)

    async def get_payment_timeline(
        self, context: Context, /, *, payment_id: str, limit: int, after: int | UnsetType
    ) -> routes.GetPaymentTimelineResult:
        """Explain a payment."""
        tenant_id = principal_of(context).tenant_id

        async def read(session: Session) -> list[contract.TimelineEntry]:
            await payments.get_payment(session, tenant_id, payment_id)
            rows = await audit.list_entries(
                session, payment_id, after=given(after) or 0, limit=limit + 1
            )
            return [views.timeline_entry(row) for row in rows]

        entries = await self._database.read(read)
        following = entries[limit - 1].position if len(entries) > limit else None
        timeline = contract.Timeline(
            payment_id=payment_id, entries=entries[:limit], next_after=following
        )
        return routes.GetPaymentTimeline200(body=timeline)

    async def get_qr_code(self, context: Context, /, *, qr_token: str) -> routes.GetQrCodeResult:
        """Draw the QR code of a link that can still be paid."""

        async def read(session: Session) -> str | None:
            attempt = await payments.find_attempt_by_qr_token(session, qr_token)
            if attempt is None:
                return None
            payment = await payments.get_payment_of(session, attempt)
            return (
                attempt.qr_code if views.is_payable(payment, attempt, now=self._clock()) else None
            )

        qr_code = await self._database.read(read)
        if qr_code is None:
            raise NotFound("There is no such picture.")
        picture = await asyncio.to_thread(draw_qr, qr_code)
        return routes.GetQrCode200(body=picture, cache_control=QR_CACHE_CONTROL)

    async def _views(self, session: Session, rows: list[Payment]) -> list[contract.Payment]:
        ids = [row.id for row in rows]
        attempts = await payments.list_latest_attempts(session, ids)
        exceptions = await payments.list_open_exceptions(session, ids)
        return [
            views.payment_view(
                row,
                attempts[row.id],
                [exception for exception in exceptions if exception.payment_id == row.id],
                public_url=self._public_url,
                now=self._clock(),
            )
            for row in rows
        ]


@lru_cache(maxsize=QR_KEPT_MAX)
def draw_qr(text: str) -> bytes:
    """Draw a QR code as a PNG with the quiet zone that scanners need."""
    picture = BytesIO()
    segno.make(text, error="m", micro=False).save(picture, kind="png", scale=QR_SCALE, border=4)
    return picture.getvalue()
