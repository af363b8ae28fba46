"""Handlers of providers' webhooks: raw bytes in, an acknowledgement out."""

from generated.api import models as contract, routes
from openapi_runtime.operations import Context
from payment_service.domain.clock import Clock
from payment_service.domain.errors import NotFound, WebhookSignatureInvalid
from payment_service.domain.quota import Quota
from payment_service.providers.provider import PaymentProvider
from payment_service.storage.database import Database
from payment_service.telemetry.logging import get_logger
from payment_service.telemetry.metrics import Metrics
from payment_service.use_cases.receive_webhook import receive_webhook

log = get_logger(__name__)

REJECTED_PER_MINUTE = 60
REJECTED_BURST = 100


class WebhookHandlers:
    """Implements `WebhooksApi`."""

    def __init__(
        self, database: Database, provider: PaymentProvider, clock: Clock, metrics: Metrics
    ) -> None:
        self._database = database
        self._provider = provider
        self._clock = clock
        self._metrics = metrics
        self._rejected = Quota(clock, per_minute=REJECTED_PER_MINUTE, burst=REJECTED_BURST)

    async def receive_payos_webhook(
        self, context: Context, /, *, body: contract.PayosWebhook
    ) -> routes.ReceivePayosWebhookResult:
        """Take a payOS webhook in."""
        if self._provider.name != "payos":
            raise NotFound("payOS is not the provider here.")
        try:
            await receive_webhook(
                self._database,
                self._provider,
                self._clock,
                self._rejected,
                headers=context.headers,
                body=context.raw_body,
            )
        except WebhookSignatureInvalid:
            self._metrics.webhooks.labels("signature_invalid").inc()
            log.warning("webhook.signature_invalid", client=context.client_host)
            raise
        return routes.ReceivePayosWebhook200(body=contract.WebhookAcknowledgement(success=True))
