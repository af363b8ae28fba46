"""The payer: tries a card on a session, and lets everybody know what came of it."""

from stripe_simulator.books import CARDS, Charge, Ledger, Session
from stripe_simulator.objects import Objects
from stripe_simulator.webhooks import Webhooks


def try_card(
    ledger: Ledger, objects: Objects, webhooks: Webhooks, session: Session, card: str
) -> Charge:
    """Pay with one of `CARDS`; the reports come in no order that could be relied on."""
    charge = ledger.try_card(session, CARDS[card])
    if charge.status == "failed":
        webhooks.tell("charge.failed", objects.charge(charge, session))
        webhooks.tell("payment_intent.payment_failed", objects.intent(session))
        return charge
    webhooks.tell("checkout.session.completed", objects.session(session))
    webhooks.tell("payment_intent.succeeded", objects.intent(session))
    webhooks.tell("charge.succeeded", objects.charge(charge, session))
    return charge
