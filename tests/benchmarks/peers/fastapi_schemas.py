"""The FastAPI peer's models: what it takes and gives, with the contract's bounds."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AnyHttpUrl, AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Amount = Annotated[int, Field(ge=1, le=500_000_000)]
Reference = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._~-]+$")]
Metadata = Annotated[
    dict[Annotated[str, Field(max_length=40)], Annotated[str, Field(max_length=500)]],
    Field(max_length=20),
]


class CreatePayment(BaseModel):
    """A request for a payment."""

    model_config = ConfigDict(extra="forbid")

    amount: Amount
    currency: Literal["VND"]
    order_reference: Reference
    description: Annotated[str | None, Field(max_length=255)] = None
    return_url: AnyHttpUrl
    cancel_url: AnyHttpUrl
    expires_in_seconds: Annotated[int, Field(ge=60, le=2_592_000)] = 900
    metadata: Metadata = Field(default_factory=dict)


class Amounts(BaseModel):
    """What became of the money."""

    requested: int
    received: int
    remaining: int
    refunded: int
    refund_pending: int
    unapplied: int


class Payment(BaseModel):
    """A payment as it is shown."""

    payment_id: str
    status: Literal["pending", "paid", "failed", "expired", "partially_refunded", "refunded"]
    version: int
    amount: Amount
    currency: Literal["VND"]
    amounts: Amounts
    order_reference: str
    description: str | None
    provider: str
    provider_reference: str
    checkout_url: str | None
    qr_code: str | None
    qr_token: str | None
    qr_url: str | None
    exceptions: list[dict[str, str]]
    metadata: Metadata
    created_at: AwareDatetime
    updated_at: AwareDatetime
    expires_at: AwareDatetime
    paid_at: datetime | None = None


class Transfer(BaseModel):
    """The signed part of a payOS webhook."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel)

    account_number: str
    amount: Amount
    description: str
    reference: Annotated[str, Field(min_length=1, max_length=128)]
    transaction_date_time: str
    order_code: int
    payment_link_id: Annotated[str, Field(min_length=1, max_length=64)]
    code: str
    desc: str


class Webhook(BaseModel):
    """A payOS webhook."""

    model_config = ConfigDict(extra="allow")

    code: str
    desc: str
    success: bool
    data: Transfer
    signature: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Acknowledgement(BaseModel):
    """What payOS wants to hear."""

    success: bool = True
