"""Refunds by payout: what we send, and how we read what payOS says of it.

A payout is signed over its percent-encoded members, and the two SDKs encode some characters
differently; so our texts keep to letters, digits, space, '-', '_' and '.'.
"""

import re
from typing import Any

from payment_service.providers.provider import (
    OutcomeUnknown,
    PayoutState,
    ProviderRefund,
    RefundRequest,
)

TEXT_MAX = 25
_UNSAFE = re.compile(r"[^A-Za-z0-9 _.-]")

_TRANSACTION_STATES = {
    "RECEIVED": PayoutState.PROCESSING,
    "PROCESSING": PayoutState.PROCESSING,
    "SUCCEEDED": PayoutState.SUCCEEDED,
    "ON_HOLD": PayoutState.ON_HOLD,
    "FAILED": PayoutState.FAILED,
    "CANCELLED": PayoutState.CANCELED,
    "REVERSED": PayoutState.RETURNED,
}
_APPROVAL_STATES = {
    "DRAFTING": PayoutState.AWAITING_APPROVAL,
    "SUBMITTED": PayoutState.AWAITING_APPROVAL,
    "REJECTED": PayoutState.FAILED,
    "CANCELLED": PayoutState.CANCELED,
    "FAILED": PayoutState.FAILED,
}


def request_body(request: RefundRequest) -> dict[str, Any]:
    """Write a payout request."""
    return {
        "referenceId": request.reference,
        "amount": request.money.amount,
        "description": _UNSAFE.sub("", request.text)[:TEXT_MAX],
        "toBin": request.bank_bin,
        "toAccountNumber": request.account_number,
    }


def find(data: Any, reference: str) -> ProviderRefund | None:
    """Find a payout in a list."""
    if not isinstance(data, dict) or not isinstance(data.get("payouts"), list):
        raise OutcomeUnknown("payOS answered in a shape we cannot read")
    for payout in data["payouts"]:
        if isinstance(payout, dict) and payout.get("referenceId") == reference:
            return refund(payout)
    return None


def made(payout: Any, request: RefundRequest) -> ProviderRefund:
    """Read the answer to a payout request."""
    read = refund(payout)
    if read.reference != request.reference or read.amount not in {0, request.money.amount}:
        raise OutcomeUnknown("payOS answered for another payout")
    return read


def refund(payout: Any) -> ProviderRefund:
    """Read a payout. Its transaction tells the state; before there is one, the approval does."""
    try:
        transaction = payout["transactions"][0] if payout.get("transactions") else {}
        return ProviderRefund(
            provider_reference=str(payout["id"]),
            reference=payout["referenceId"],
            state=_state(payout.get("approvalState"), transaction.get("state")),
            amount=int(transaction.get("amount", 0)),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise OutcomeUnknown("payOS answered in a shape we cannot read") from error


def _state(approval: Any, transaction: Any) -> PayoutState:
    by_transaction = _TRANSACTION_STATES.get(str(transaction))
    by_approval = _APPROVAL_STATES.get(str(approval))
    if by_transaction in {None, PayoutState.PROCESSING}:
        return by_approval or by_transaction or PayoutState.UNRECOGNISED
    return by_transaction
