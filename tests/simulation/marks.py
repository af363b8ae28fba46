"""Rare states that a run must reach, or it has proved less than it says.

Source of the idea: Antithesis' "sometimes" assertions.
"""

from typing import TYPE_CHECKING

import msgspec

from payment_service.domain.payment import CLOSED_UNPAID, TRANSITIONS, PaymentStatus
from payment_service.providers.provider import CheckoutState
from payment_service.use_cases.receive_webhook import APPLY_WITHIN
from tests.simulation.store.expressions import Row

if TYPE_CHECKING:
    from tests.simulation.world import World

MUST_REACH = (
    "a process was killed while it held rows",
    "a process was killed right after a commit",
    "a process was killed between a new link and its record",
    "a process was killed between a closed link and its record",
    "a process was killed between a payout and its record",
    "a process was killed between a publication and its record",
    "a process was killed between a handled message and its record",
    "a commit happened, and its caller does not know",
    "a connection broke inside a transaction",
    "a clock was set back",
    "a lock was waited for in vain",
    "a lost race was run again",
    "a claim was taken over",
    "a zombie was fenced off",
    "a lease passed from the dead to the living",
    "a twin was told that the first still runs",
    "an answer was repeated from the key",
    "a client hung up",
    "the answer to a new link was lost",
    "a request acted after its caller had given up",
    "an order code existed already",
    "a link was replaced",
    "the provider refused a link",
    "news of a link overtook the answer",
    "a webhook was received at the door",
    "a webhook was duplicate at the door",
    "a webhook was never sent",
    "a webhook was not acknowledged",
    "a webhook was applied late, by the scheduler",
    "money was found by asking",
    "money came late",
    "a transfer came twice",
    "a payment was underpaid",
    "a payment was topped up",
    "a payment was overpaid",
    "money matched no payment",
    "a payment expired",
    "a payment was cancelled",
    "a cancellation lost against money",
    "a refund was answered with 422",
    "a refund race was lost",
    "a payout was looked for, and not there",
    "a payout was looked for, and found",
    "a payout was asked for twice, and paid once",
    "the answer to a payout was lost",
    "the wallet was too small for a payout",
    "a payout's account did not exist",
    "a payout failed",
    "a bank sent a payout back",
    "a refund was taken back",
    "a message was published twice",
    "the broker took a message, and the relay does not know",
    "the broker did not take a message",
    "a message was delivered again",
)

_OF_EXCEPTIONS = {
    "late": "money came late",
    "duplicate_transfer": "a transfer came twice",
    "underpaid": "a payment was underpaid",
    "overpaid": "a payment was overpaid",
}
_OF_ACTIONS = {
    ("payment.paid", "job"): "money was found by asking",
    ("payment.expired", "job"): "a payment expired",
    ("payment.failed", "client"): "a payment was cancelled",
}


class Watch:
    """Looks at every row that a commit changes: marks what is rare, and refuses what is wrong."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def committed(  # noqa: C901  # a table of tables
        self, table: str, old: Row | None, new: Row | None
    ) -> None:
        """See one row change."""
        match table, new:
            case "payments", dict():
                self._payment(old, new)
            case "payment_attempts", dict():
                self._attempt(old, new)
            case "money_exceptions", dict():
                self._exception(old, new)
            case "idempotency_keys", dict():
                self._answer(old, new)
            case "leases", dict() if old is not None and old["owner"] != new["owner"]:
                self._world.note("a lease passed from the dead to the living")
            case "receipts", dict() if new["payment_id"] is None:
                self._world.note("money matched no payment")
            case "refunds", dict() if old is not None:
                self._refund(old, new)
            case "webhook_events", dict() if old is not None:
                self._webhook(old, new)
            case "audit_log", dict():
                mark = _OF_ACTIONS.get((new["action"], new["actor"]))
                if mark is not None:
                    self._world.note(mark)

    def _payment(self, old: Row | None, new: Row) -> None:
        world = self._world
        if old is None or old["status"] == new["status"]:
            return
        world.trace("store", f"payment {new['id']}: {old['status']} -> {new['status']}")
        before, after = PaymentStatus(old["status"]), PaymentStatus(new["status"])
        if after not in TRANSITIONS[before]:
            world.fault(f"a payment went from {before} to {after}")
        # By a clock that is fast its time may be up while a request for its link is on its way.
        is_by_time = after is PaymentStatus.EXPIRED and world.marks["a clock was set"]
        if after in CLOSED_UNPAID and not is_by_time:
            for link in world.bank.links.values():
                if link.order == new["return_url"] and link.state is CheckoutState.OPEN:
                    world.fault(f"{new['id']} is {after}, and its link can still be paid")

    def _attempt(self, old: Row | None, new: Row) -> None:
        if old is None and new["number"] > 1:
            self._world.note("a link was replaced")
        if (
            old is not None
            and old["state"] == "opening"
            and new["state"] != "open"
            and old["provider_reference"] is None
            and new["provider_reference"] is not None
        ):
            self._world.note("news of a link overtook the answer")

    def _exception(self, old: Row | None, new: Row) -> None:
        if old is None and new["code"] in _OF_EXCEPTIONS:
            self._world.note(_OF_EXCEPTIONS[new["code"]])
        if new["resolution"] == "topped_up":
            self._world.note("a payment was topped up")
        if new["code"] == "provider_mismatch":
            self._world.fault("the bank seems to contradict itself, and never did")

    def _webhook(self, old: Row, new: Row) -> None:
        if new["status"] == "dead":
            self._world.fault(f"a webhook was buried: {new['reason']}")
        elif new["status"] == "applied" != old["status"]:
            self._require_receipt(new)
            late = new["processed_at"] - new["received_at"] >= APPLY_WITHIN
            self._world.note(
                "a webhook was applied late, by the scheduler" if late else "a webhook was applied"
            )

    def _require_receipt(self, webhook: Row) -> None:
        told = msgspec.json.decode(webhook["payload"])["bank_reference"]
        receipts = self._world.store.tables["receipts"].rows(None)
        if all(row["bank_reference"] != told for _, row in receipts):
            self._world.fault(f"{webhook['id']} is called applied, and its money is nowhere")

    def _answer(self, old: Row | None, new: Row) -> None:
        if old is None:
            return
        if new["fence"] > old["fence"]:
            self._world.note("a claim was taken over")
        if old["response_body"] not in {None, new["response_body"]}:
            self._world.fault(f"the answer under {new['key']} was given, and has changed")

    def _refund(self, old: Row, new: Row) -> None:
        if old["status"] == "succeeded" and new["status"] == "failed":
            self._world.note("a refund was taken back")
        elif old["status"] == "pending" and new["status"] == "failed":
            self._world.note("a payout failed")
