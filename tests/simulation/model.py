"""What amounts, status and version of a payment should be: the rules, as simply as can be said.

No locks, no messages, no provider: only what each fact means. `test_money_model` lets the service
and this model live through the same facts.
"""

from dataclasses import dataclass, field

SETTLED = ("paid", "partially_refunded", "refunded")


@dataclass(slots=True)
class ModelRefund:
    """A refund; `is_excess` says that it gives back what was paid too much."""

    amount: int
    is_excess: bool
    status: str = "pending"


@dataclass(slots=True)
class ModelPayment:
    """A payment."""

    asked: int
    status: str = "pending"
    version: int = 1
    received: int = 0
    applied: int = 0
    refunds: dict[str, ModelRefund] = field(default_factory=dict)

    @property
    def refunded(self) -> int:
        """Add up what has left."""
        return sum(each.amount for each in self.refunds.values() if each.status == "succeeded")

    @property
    def reserved(self) -> int:
        """Add up what is about to leave."""
        return sum(each.amount for each in self.refunds.values() if each.status == "pending")

    def transfer(self, amount: int) -> None:
        """Receive money: for what is missing first, if the payment still waits for it."""
        self.received += amount
        self.version += 1
        if self.status == "pending":
            self.applied = min(self.asked, self.applied + amount)
            if self.applied == self.asked:
                self.status = "paid"

    def close(self, status: str) -> None:
        """End without (all of) the money."""
        if self.status == "pending":
            self.status = status
            self.version += 1

    def refund(self, name: str, amount: int, *, is_excess: bool) -> bool:
        """Promise money, if that much is left and nobody waits for more of it."""
        if self.status == "pending" or amount > self.received - self.refunded - self.reserved:
            return False
        self.refunds[name] = ModelRefund(amount, is_excess)
        self.version += 1
        return True

    def payout(self, name: str, status: str) -> None:
        """Learn what became of a refund: succeeded, failed, or failed after it had succeeded."""
        frees_only_the_reserve = self.refunds[name].status == "pending" and status == "failed"
        self.refunds[name].status = status
        self.version += 1
        if not frees_only_the_reserve:
            self._follow()

    def _follow(self) -> None:
        """Let the status of a settled payment say how much of its price was given back."""
        if self.status not in SETTLED:
            return
        excess = sum(
            each.amount for each in self.refunds.values()
            if each.status == "succeeded" and each.is_excess
        )  # fmt: skip
        of_the_price = self.refunded - min(self.received - self.applied, excess)
        status = "paid" if of_the_price <= 0 else "partially_refunded"
        if of_the_price >= self.applied:
            status = "refunded"
        if status != self.status:
            self.status = status
            self.version += 1
