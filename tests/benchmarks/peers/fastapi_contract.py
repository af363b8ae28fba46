"""FastAPI and pydantic without storage: the framework's own checks, both ways."""

from typing import Annotated

from fastapi import Depends, FastAPI, Header, Response
from fastapi.responses import PlainTextResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from tests.benchmarks.peers.fastapi_schemas import CreatePayment, Payment
from tests.benchmarks.peers.serve import serve
from tests.contract.stub_service import example

app = FastAPI()
PAYMENT = Payment.model_validate(example("PendingPayment"))
Key = Annotated[str, Header(min_length=1, max_length=255)]
Token = Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]


@app.post("/v1/payments", status_code=201, response_model_exclude_none=True)
async def create_payment(
    body: CreatePayment, idempotency_key: Key, token: Token, response: Response
) -> Payment:
    """Take a payment, answer with an example."""
    response.headers["location"] = "/v1/payments/x"
    return PAYMENT


@app.get("/ready")
async def ready() -> PlainTextResponse:
    """Say that we are there."""
    return PlainTextResponse("ready")


if __name__ == "__main__":
    serve(app)
