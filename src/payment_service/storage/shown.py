"""What is shown of a payment: read in one question, with no column too many.

The driver takes as long for a column as for a value, and objects of the ORM take a fifth of such a
read; so these are tuples, whose fields are the columns that are asked for.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, bindparam, func, select
from sqlalchemy.orm import class_mapper

from payment_service.domain.errors import NotFound
from payment_service.domain.payment import amount_unapplied
from payment_service.storage.database import Session
from payment_service.storage.models import Base, MoneyException, Payment, PaymentAttempt


class ShownPayment(NamedTuple):
    """What is shown of a payment, as in `models.Payment`."""

    id: str
    status: str
    failure_reason: str | None
    version: int
    amount: int
    currency: str
    amount_received: int
    amount_applied: int
    amount_refunded: int
    amount_reserved: int
    order_reference: str
    description: str | None
    payment_metadata: dict[str, str]
    provider: str
    created_at: datetime
    updated_at: datetime
    expires_at: datetime
    paid_at: datetime | None

    @property
    def amount_unapplied(self) -> int:
        """See `models.Payment.amount_unapplied`."""
        return amount_unapplied(self.status, self.amount_received, self.amount_applied)


class ShownLink(NamedTuple):
    """What is shown of the newest link, as in `models.PaymentAttempt`."""

    order_code: int
    state: str
    checkout_url: str | None
    qr_code: str | None
    qr_token: str


class ShownException(NamedTuple):
    """What is shown of an open exception, as in `models.MoneyException`."""

    id: str
    code: str
    amount: int
    raised_at: datetime


_LINK_AT = len(ShownPayment._fields)
_EXCEPTION_AT = _LINK_AT + len(ShownLink._fields)


def _columns(model: type[Base], shown: Any) -> Iterator[ColumnElement[Any]]:
    columns = class_mapper(model).columns
    return (columns[name].label(f"{model.__tablename__}_{name}") for name in shown._fields)


_PAYMENTS, _LINKS, _EXCEPTIONS = (
    model.__table__ for model in (Payment, PaymentAttempt, MoneyException)
)
_LATEST_NUMBER = (
    select(func.max(_LINKS.c.number))
    .where(_LINKS.c.payment_id == _PAYMENTS.c.id)
    .correlate(_PAYMENTS)
    .scalar_subquery()
)
_SHOWN = (
    select(
        *_columns(Payment, ShownPayment),
        *_columns(PaymentAttempt, ShownLink),
        *_columns(MoneyException, ShownException),
    )
    .join_from(
        _PAYMENTS,
        _LINKS,
        (_LINKS.c.payment_id == _PAYMENTS.c.id) & (_LINKS.c.number == _LATEST_NUMBER),
    )
    .outerjoin(
        _EXCEPTIONS,
        (_EXCEPTIONS.c.payment_id == _PAYMENTS.c.id) & _EXCEPTIONS.c.resolved_at.is_(None),
    )
    .where(
        _PAYMENTS.c.id == bindparam("payment_id"), _PAYMENTS.c.tenant_id == bindparam("tenant_id")
    )
    .order_by(_EXCEPTIONS.c.raised_at, _EXCEPTIONS.c.id)
)


async def get_shown(
    session: Session, tenant_id: str, payment_id: str
) -> tuple[ShownPayment, ShownLink, list[ShownException]]:
    """Read what is shown of a payment: with its newest link and its open exceptions.

    Raises:
        NotFound: The tenant has no such payment.
    """
    asked = {"tenant_id": tenant_id, "payment_id": payment_id}
    rows = (await session.execute(_SHOWN, asked)).all()
    if not rows:
        raise NotFound("There is no such payment.")
    first = rows[0]
    exceptions = (ShownException._make(row[_EXCEPTION_AT:]) for row in rows)
    return (
        ShownPayment._make(first[:_LINK_AT]),
        ShownLink._make(first[_LINK_AT:_EXCEPTION_AT]),
        [exception for exception in exceptions if exception.id is not None],
    )
