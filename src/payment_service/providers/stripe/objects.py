"""Reads Stripe's sessions, charges and refunds, whether they were asked for or came by webhook.

A transfer is a charge: only it tells when the money moved, and it is the same in both. What it does
not tell is its session; so our own name for that, which is in the metadata of both, links them.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from payment_service.domain.money import Currency, Money
from payment_service.providers.provider import (
    CheckoutState,
    Payer,
    PayoutState,
    ProviderPayment,
    ProviderRefund,
    Transfer,
)

ORDER_CODE = "payments_order_code"  # in the metadata of sessions, payments and charges
REFERENCE = "payments_reference"  # in the metadata of refunds
CLOSED_BECAUSE = "payments_closed_because"  # in the metadata of a session that we have closed

# Source: Stripe decline codes, 2026-10: what the payer typed was wrong, not refused by the bank.
_INVALID_CARD = frozenset(
    {
        "expired_card",
        "incorrect_cvc",
        "incorrect_number",
        "invalid_cvc",
        "invalid_expiry_month",
        "invalid_expiry_year",
        "invalid_number",
    }
)
_REFUND_STATES = {
    "pending": PayoutState.PROCESSING,
    "requires_action": PayoutState.AWAITING_APPROVAL,
    "succeeded": PayoutState.SUCCEEDED,
    # Whenever it fails the bank has sent the money back to us, also after it had succeeded.
    "failed": PayoutState.RETURNED,
    "canceled": PayoutState.CANCELED,
}
_SOURCE_SEPARATOR = "/"


def payment(session: Mapping[str, Any]) -> ProviderPayment:
    """Read a session with its expanded payment and charge.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: It has another shape.
    """
    order_code = int(session["client_reference_id"])
    charge = _charge(session)
    is_paid = charge is not None and charge["status"] == "succeeded"
    return ProviderPayment(
        order_code=order_code,
        provider_reference=link_name(order_code),
        state=_state(session, charge),
        amount=session["amount_total"],
        amount_paid=charge["amount"] if charge and is_paid else 0,
        transfers=(transfer(charge),) if charge and is_paid else (),
    )


def transfer(charge: Mapping[str, Any]) -> Transfer:
    """Read a charge that succeeded.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: It has another shape.
    """
    order_code = int(charge["metadata"][ORDER_CODE])
    return Transfer(
        order_code=order_code,
        provider_reference=link_name(order_code),
        bank_reference=charge["id"],
        money=Money(charge["amount"], Currency(charge["currency"].upper())),
        occurred_at=datetime.fromtimestamp(charge["created"], UTC),
        payer=_payer(charge),
    )


def link_name(order_code: int) -> str:
    """Name a session as every report about its money can: Stripe's own name is not in them."""
    return str(order_code)


def source_of(charge_name: str, last4: str) -> str:
    """Name what is paid back to: the charge, then the digits that the payer knows the card by.

    A wallet may not tell them; then it ends as the charge's name does.
    """
    return f"{charge_name}{_SOURCE_SEPARATOR}{last4 or charge_name[-4:]}"


def charge_of(source: str) -> str | None:
    """Tell the charge that `source_of` named; None when it was not one."""
    charge, separator, _ = source.partition(_SOURCE_SEPARATOR)
    return charge if separator and charge.startswith(("ch_", "py_")) else None


def decline_code(charge: Mapping[str, Any]) -> str:
    """Tell why a charge failed: what the issuer said, where it says more than "declined"."""
    code = str(charge.get("failure_code") or "")
    outcome = charge.get("outcome")
    reason = outcome.get("reason") if isinstance(outcome, dict) else None
    return str(reason) if reason and code in {"", "card_declined"} else code or "unknown"


def refund(entry: Mapping[str, Any]) -> ProviderRefund:
    """Read a refund of ours.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: It has another shape.
    """
    return ProviderRefund(
        provider_reference=str(entry["id"]),
        reference=entry["metadata"][REFERENCE],
        state=_refund_state(entry),
        amount=entry["amount"],
    )


def _refund_state(entry: Mapping[str, Any]) -> PayoutState:
    if (entry["status"], entry.get("pending_reason")) == ("pending", "insufficient_funds"):
        return PayoutState.ON_HOLD  # until the account is topped up; it is made, and never twice
    return _REFUND_STATES.get(entry["status"], PayoutState.UNRECOGNISED)


def _charge(session: Mapping[str, Any]) -> Mapping[str, Any] | None:
    intent = session["payment_intent"]
    charge: Any = intent["latest_charge"] if intent is not None else None
    if charge is not None and not isinstance(charge, dict):
        raise TypeError("the charge was not expanded")
    return charge


def _state(session: Mapping[str, Any], charge: Mapping[str, Any] | None) -> CheckoutState:
    match session["status"], session["payment_status"]:
        case "complete", "paid" if charge is not None and charge["status"] == "succeeded":
            return CheckoutState.PAID
        case ("open", _) | ("complete", "unpaid"):  # a declined card leaves it open
            return CheckoutState.OPEN
        case "expired", _:
            return _closed_state(session, charge)
        case _:
            return CheckoutState.UNRECOGNISED


def _closed_state(session: Mapping[str, Any], charge: Mapping[str, Any] | None) -> CheckoutState:
    if charge is not None and charge["status"] == "failed":
        is_invalid = decline_code(charge) in _INVALID_CARD
        return CheckoutState.INVALID_CARD if is_invalid else CheckoutState.DECLINED
    is_closed_by_us = CLOSED_BECAUSE in (session.get("metadata") or {})
    return CheckoutState.CANCELED if is_closed_by_us else CheckoutState.EXPIRED


def _payer(charge: Mapping[str, Any]) -> Payer:
    details = charge.get("payment_method_details")
    card = details.get("card") if isinstance(details, dict) else None
    card = card if isinstance(card, dict) else {}
    return Payer(
        bank_id=card.get("brand"),
        bank_bin=None,
        account_number=source_of(charge["id"], str(card.get("last4") or "")),
    )
