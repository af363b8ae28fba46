"""Stripe's objects as JSON, in the shape of API version 2026-10-28.endive."""

from typing import Any

from stripe_simulator.books import Charge, Ledger, Refund, Session

API_VERSION = "2026-10-28.endive"


class Objects:
    """Writes the books' entries as Stripe does; what `expand` names is written whole."""

    def __init__(self, ledger: Ledger, public_url: str) -> None:
        self._ledger = ledger
        self._public_url = public_url

    def session(self, session: Session, expand: list[str] | None = None) -> dict[str, Any]:
        """Write a session. It has a payment once somebody has tried to pay."""
        status = session.status(self._ledger.now())
        return {
            "id": session.id,
            "object": "checkout.session",
            "amount_subtotal": session.amount,
            "amount_total": session.amount,
            "cancel_url": session.cancel_url,
            "client_reference_id": session.client_reference_id,
            "created": session.created,
            "currency": "vnd",
            "customer": None,
            "expires_at": session.expires_at,
            "livemode": False,
            "metadata": session.metadata,
            "mode": "payment",
            "payment_intent": self._intent_of(session, expand or []),
            "payment_method_types": ["card"],
            "payment_status": "paid" if session.paid else "unpaid",
            "status": status,
            "success_url": session.success_url,
            "url": f"{self._public_url}/web/{session.id}" if status == "open" else None,
        }

    def intent(self, session: Session, expand: list[str] | None = None) -> dict[str, Any]:
        """Write the payment of a session."""
        latest = session.charges[-1]
        expired = session.status(self._ledger.now()) == "expired"
        waiting = "canceled" if expired else "requires_payment_method"
        return {
            "id": session.intent,
            "object": "payment_intent",
            "amount": session.amount,
            "amount_received": session.amount if session.paid else 0,
            "created": session.charges[0].created,
            "currency": "vnd",
            "latest_charge": self.charge(latest, session)
            if "latest_charge" in (expand or [])
            else latest.id,
            "livemode": False,
            "metadata": session.intent_metadata,
            "payment_method_types": ["card"],
            "status": "succeeded" if session.paid else waiting,
        }

    def charge(self, charge: Charge, session: Session) -> dict[str, Any]:
        """Write a charge; it has the metadata of its payment."""
        refunds = [r for r in self._ledger.books.refunds.values() if r.charge == charge.id]
        refunded = sum(r.amount for r in refunds if r.status not in {"failed", "canceled"})
        failed = charge.failure_code is not None
        return {
            "id": charge.id,
            "object": "charge",
            "amount": charge.amount,
            "amount_captured": 0 if failed else charge.amount,
            "amount_refunded": refunded,
            "captured": not failed,
            "created": charge.created,
            "currency": "vnd",
            "failure_code": charge.failure_code,
            "failure_message": "Your card was declined." if failed else None,
            "livemode": False,
            "metadata": session.intent_metadata,
            "outcome": {
                "network_status": "declined_by_network" if failed else "approved_by_network",
                "reason": charge.reason,
                "type": "issuer_declined" if failed else "authorized",
            },
            "paid": not failed,
            "payment_intent": charge.intent,
            "payment_method_details": {
                "card": {"brand": "visa", "last4": charge.last4},
                "type": "card",
            },
            "refunded": refunded >= charge.amount,
            "status": charge.status,
        }

    def refund(self, refund: Refund) -> dict[str, Any]:
        """Write a refund."""
        entry: dict[str, Any] = {
            "id": refund.id,
            "object": "refund",
            "amount": refund.amount,
            "charge": refund.charge,
            "created": refund.created,
            "currency": "vnd",
            "metadata": refund.metadata,
            "payment_intent": refund.intent,
            "reason": None,
            "status": refund.status,
        }
        return entry | ({"failure_reason": refund.failure_reason} if refund.failure_reason else {})

    def endpoint(self) -> dict[str, Any]:
        """Write the webhook endpoint; there is one."""
        return {
            "id": "we_simulated",
            "object": "webhook_endpoint",
            "api_version": API_VERSION,
            "created": 0,
            "enabled_events": self._ledger.books.enabled_events,
            "livemode": False,
            "metadata": {},
            "status": "enabled",
            "url": self._ledger.books.webhook_url,
        }

    def _intent_of(self, session: Session, expand: list[str]) -> Any:
        if not session.charges:
            return None
        if not any(name.startswith("payment_intent") for name in expand):
            return session.intent
        inner = ["latest_charge"] if "payment_intent.latest_charge" in expand else []
        return self.intent(session, inner)


def page_of(entries: list[dict[str, Any]], query: dict[str, Any], path: str) -> dict[str, Any]:
    """Write a list: the newest first, from one end or after an entry."""
    created = query.get("created", {})
    bounds = {name: int(value) for name, value in created.items()}
    kept = [
        entry
        for entry in sorted(entries, key=lambda entry: (entry["created"], entry["id"]))[::-1]
        if bounds.get("gte", 0) <= entry["created"] <= bounds.get("lte", entry["created"])
    ]
    names = [entry["id"] for entry in kept]
    after = query.get("starting_after")
    begin = names.index(after) + 1 if after in names else 0
    limit = int(query.get("limit", 10))
    shown = kept[begin : begin + limit]
    return {
        "object": "list",
        "data": shown,
        "has_more": begin + limit < len(kept),
        "url": path,
    }
