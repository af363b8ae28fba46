"""A payment's history as a page to read, the answer first."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from payment_service.records.histories import answer, write_time

Entry = dict[str, Any]


def print_history(history: Entry) -> None:
    """Print one payment: what it is, its money, its links, what waits, and every change."""
    payment = history["payment"]
    print(f"{payment['payment_id']} {answer(payment)}")
    print(
        "  order {order_reference} of tenant {tenant_id}: asked {amount:,} {currency}, "
        "received {amount_received:,}, refunded {amount_refunded:,}, "
        "to be refunded {amount_reserved:,}".format(**payment)
    )
    for title, entries, line in (
        ("Money", history["receipts"], _receipt),
        ("Questions about money", history["exceptions"], _exception),
        ("Refunds", history["refunds"], _refund),
        ("Links", history["links"], _link),
        ("Webhooks that are not applied", history["webhooks"], _webhook),
        ("Webhooks that were replayed", history["replays"], _replay),
        ("Changes", history["changes"], _change),
    ):
        _print_section(title, [line(entry) for entry in entries])


def print_unmatched(receipts: Sequence[Entry]) -> None:
    """Print money that reached no payment of ours."""
    _print_section("Money without a payment of ours", [_receipt(receipt) for receipt in receipts])


def _print_section(title: str, lines: Sequence[str]) -> None:
    if lines:
        print(f"  {title}")
    for line in lines:
        print(f"    {line}")


def _receipt(entry: Entry) -> str:
    return _line(
        entry["occurred_at"],
        f"{entry['amount']:,} {entry['currency']}",
        entry["disposition"],
        f"bank reference {entry['bank_reference']}",
        f"order code {entry['order_code']}",
        f"from {entry['payer_bank_id']} {entry['payer_account']}"
        if entry["payer_account"]
        else None,
    )


def _exception(entry: Entry) -> str:
    answer = f"{entry['resolution']} at {write_time(entry['resolved_at'])}"
    return _line(
        entry["raised_at"],
        f"{entry['code']} {entry['amount']:,}",
        answer if entry["resolved_at"] else "open",
        entry["exception_id"],
    )


def _refund(entry: Entry) -> str:
    return _line(
        entry["created_at"],
        f"{entry['amount']:,} {entry['currency']}",
        entry["status"],
        entry["because"],
        f"to {entry['bank_bin'] or 'card'} {entry['account']}",
        f"payout {entry['payout']}",
    )


def _link(entry: Entry) -> str:
    return _line(
        entry["created_at"],
        f"order code {entry['order_code']}",
        f"transfer text {entry['transfer_text']}",
        entry["state"],
    )


def _webhook(entry: Entry) -> str:
    return _line(entry["received_at"], entry["webhook_id"], entry["status"], entry["reason"])


def _replay(entry: Entry) -> str:
    return _line(entry["at"], entry["webhook_id"], f"by {entry['actor']}", entry["reason"])


def _change(entry: Entry) -> str:
    return _line(
        entry["at"],
        entry["action"],
        f"is {entry['status']}",
        f"by {entry['actor']}",
        entry["reason"],
        f"request {entry['request_id']}" if entry["request_id"] else None,
    )


def _line(at: datetime, *parts: str | None) -> str:
    return "  ".join([write_time(at), *(part for part in parts if part is not None)])
