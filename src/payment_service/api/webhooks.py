"""Handlers of providers' webhooks: raw bytes in, an acknowledgement out."""

from collections.abc import Sequence

from generated.api import models as contract, routes
from openapi_runtime.operations import Context
from payment_service.api.sources import Network, Sources, is_within, site_of
from payment_service.domain.clock import Clock
from payment_service.domain.errors import NotFound, RateLimited, WebhookSignatureInvalid
from payment_service.domain.quota import Quota, Quotas
from payment_service.providers.provider import PaymentProvider
from payment_service.storage.database import Database
from payment_service.telemetry.logging import get_logger
from payment_service.telemetry.metrics import Metrics
from payment_service.use_cases.receive_webhook import open_journal, receive_webhook

log = get_logger(__name__)

REJECTED_PER_MINUTE = 60
REJECTED_BURST = 100
SOURCE_PER_MINUTE = 30
SOURCE_BURST = 30
SOURCES_MAX = 4096


class WebhookHandlers:
    """Implements `WebhooksApi`."""

    def __init__(
        self,
        database: Database,
        provider: PaymentProvider,
        clock: Clock,
        metrics: Metrics,
        *,
        sources: Sources,
        allowed: Sequence[Network],
    ) -> None:
        self._database = database
        self._provider = provider
        self._clock = clock
        self._metrics = metrics
        self._sources = sources
        self._allowed = allowed
        self._journal = open_journal(database, provider.name, clock)
        self._evidence = Quota(clock, per_minute=REJECTED_PER_MINUTE, burst=REJECTED_BURST)
        self._rejected = Quotas(
            clock, per_minute=SOURCE_PER_MINUTE, burst=SOURCE_BURST, names_max=SOURCES_MAX
        )

    async def receive_payos_webhook(
        self, context: Context, /, *, body: contract.PayosWebhook
    ) -> routes.ReceivePayosWebhookResult:
        """Take a payOS webhook in."""
        await self._receive(context, "payos")
        return routes.ReceivePayosWebhook200(body=contract.WebhookAcknowledgement(success=True))

    async def receive_stripe_webhook(
        self, context: Context, /, *, body: contract.StripeWebhook
    ) -> routes.ReceiveStripeWebhookResult:
        """Take a Stripe webhook in."""
        await self._receive(context, "stripe")
        return routes.ReceiveStripeWebhook200(body=contract.WebhookAcknowledgement(success=True))

    async def _receive(self, context: Context, sender: str) -> None:
        if self._provider.name != sender:
            raise NotFound("This is not the provider here.")
        source = self._sources.source_of(context)
        if self._allowed and not is_within(source, self._allowed):
            self._metrics.webhooks.labels("source_refused").inc()
            raise NotFound("The provider does not send from there.")
        try:
            await receive_webhook(
                self._database,
                self._journal,
                self._provider,
                self._clock,
                self._evidence,
                self._rejected.of(site_of(source)),
                headers=context.headers,
                body=context.raw_body,
            )
        except RateLimited:
            self._metrics.webhooks.labels("rate_limited").inc()
            raise
        except WebhookSignatureInvalid:
            self._metrics.webhooks.labels("signature_invalid").inc()
            log.warning("webhook.signature_invalid", client=str(source))
            raise
