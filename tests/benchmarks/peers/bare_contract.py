"""Bare Starlette and msgspec: decode, answer, nothing checked that the decoder does not check."""

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from generated.api import models
from tests.benchmarks.peers.serve import serve
from tests.contract.stub_service import example


def bare_app() -> Starlette:
    """Build the operations as a good engineer writes them without a contract."""
    payment = msgspec.convert(example("PendingPayment"), models.Payment)
    create = msgspec.json.Decoder(models.CreatePaymentRequest)
    webhook = msgspec.json.Decoder(models.PayosWebhook)
    encode = msgspec.json.Encoder().encode

    async def create_payment(request: Request) -> Response:
        create.decode(await request.body())
        headers = {"location": "/v1/payments/x"}
        return Response(encode(payment), 201, headers, "application/json")

    async def receive(request: Request) -> Response:
        webhook.decode(await request.body())
        answer = models.WebhookAcknowledgement(success=True)
        return Response(encode(answer), media_type="application/json")

    async def ready(_request: Request) -> Response:
        return PlainTextResponse("ready")

    return Starlette(
        routes=[
            Route("/v1/payments", create_payment, methods=["POST"]),
            Route("/v1/webhooks/payos", receive, methods=["POST"]),
            Route("/ready", ready),
        ]
    )


if __name__ == "__main__":
    serve(bare_app())
