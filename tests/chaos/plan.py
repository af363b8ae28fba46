"""What a run is to do: its size from the environment, and a story for every payment from the seed.

The same seed gives the same stories and the same order of faults; what meets when is up to the
machine.
"""

import os
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self, TypeVar

from tests.chaos.roles import AMOUNT_MAX

T = TypeVar("T")

AMOUNT_MIN = 10_000  # VND
ACCOUNT = {"type": "bank_account", "bank_bin": "970422", "account_number": "0987654321"}
REJECTED_ACCOUNT = ACCOUNT | {"account_number": "0004040000"}  # the provider refuses to pay it
SOURCE = {"type": "source"}

KINDS = {
    "exact": 36,
    "parts": 10,
    "over": 6,
    "twice": 6,
    "under": 6,
    "late": 6,
    "never": 6,
    "abandoned": 8,  # whoever asks hangs up, and does not come back before the end
    "canceled": 12,
    "forsaken": 8,  # whoever cancels hangs up, and does not come back before the end
    "raced": 6,  # canceled while somebody pays
    "refused": 6,  # the provider takes no such amount
}
WEBHOOKS = {"on": 40, "duplicate": 15, "tampered": 8, "off": 15, "delayed": 22}
SPOILT = {0: 50, 1: 30, 2: 20}  # calls to the provider, in the course of a story
PROVIDER_PATHS = {
    r"/v2/payment-requests": 5,
    r"/v2/payment-requests/\d+/cancel": 3,
    r"/v[12]/.*": 5,
}
PROVIDER_FAULTS: tuple[Mapping[str, str | int | float], ...] = (
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 502},
    {"kind": "status", "status": 503},
    {"kind": "status", "status": 429, "retry_after": 1},
    {"kind": "slow", "seconds": 1.5},
    {"kind": "timeout_before", "seconds": 9},
    {"kind": "timeout_after", "seconds": 9},
    {"kind": "broken_before"},
    {"kind": "broken_after"},
    {"kind": "broken_after"},
    {"kind": "not_json"},
    {"kind": "bad_signature"},
)
"""Of the simulator, see `payos_simulator.faults`; those called `after` lose the answer only."""

DECISIONS = {
    "over": {"keep": 1, "refund": 2, "": 2},
    "twice": {"keep": 1, "refund": 2, "": 2},
    "late": {"apply": 3, "refund": 1, "": 1},
}
"""What becomes of odd money; the same exception is always kept, too, by somebody else at once."""

REFUNDED = {"exact", "parts", "over", "twice", "late"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much of everything."""

    payments: int  # at least; more until every failpoint has had its kills
    seed: int
    kills_per_point: int
    kills_per_payment: float  # at random; those at failpoints come on top
    mysql_kills: int
    kafka_kills: int
    clients: int
    clock_speed: float
    seconds_max: float  # for each half: the faults, and the calm after them

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read CHAOS_*."""

        def number(name: str, default: float) -> float:
            return float(environ.get(f"CHAOS_{name}", default))

        payments = int(number("PAYMENTS", 500))
        kills_per_point = int(number("KILLS_PER_POINT", 3))
        return cls(
            payments=payments,
            seed=int(number("SEED", random.SystemRandom().randrange(1_000_000))),
            kills_per_point=kills_per_point,
            kills_per_payment=number("KILLS_PER_PAYMENT", 0.25),
            mysql_kills=int(number("MYSQL_KILLS", max(2, payments // 250))),
            kafka_kills=int(number("KAFKA_KILLS", 1)),
            clients=int(number("CLIENTS", 24)),
            clock_speed=number("CLOCK_SPEED", 10),
            seconds_max=number("SECONDS_MAX", 600 + payments + 60 * kills_per_point),
        )

    def random(self, what: str) -> random.Random:
        """Make the source of chance for one thing, so that the others do not disturb it."""
        return random.Random(f"{self.seed}/{what}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """What a payer does: how much, how it is told, and how long before the next."""

    amount: int
    webhook: str
    pause_seconds: float
    delay_seconds: float  # of a delayed webhook


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundWish:
    """What a merchant wants back; all wishes of a story race."""

    percent: int  # of what arrived
    destination: Mapping[str, str]
    is_returned: bool  # the bank sends it back after it has succeeded


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """The life of one payment."""

    number: int
    kind: str
    amount: int
    expires_in_seconds: int
    transfers: tuple[Transfer, ...]
    refunds: tuple[RefundWish, ...]
    decision: str  # about money that raises an exception; none if empty
    twins: int  # how many send the create request at once
    hang_up_seconds: float | None  # after which the first try is given up
    patience_seconds: float  # of whoever abandons a request
    reads: tuple[str, ...]
    faults: tuple[Mapping[str, str | int | float], ...]  # that the provider's calls run into


READS = ("payment", "list", "timeline", "picture", "refunds", "refund", "health", "door")


def tell(size: Size, number: int) -> Story:
    """Make up the story of a payment."""
    chance = size.random(f"story/{number}")
    kind = _choose(chance, KINDS)
    amount = chance.randrange(AMOUNT_MIN, AMOUNT_MAX // 10)
    waits = kind in {"under", "late", "never", "abandoned", "forsaken"}
    return Story(
        number=number,
        kind=kind,
        amount=AMOUNT_MAX + 1 if kind == "refused" else amount,
        expires_in_seconds=60 if waits else 600,
        transfers=tuple(_transfer(chance, each) for each in _amounts(chance, kind, amount)),
        decision=_choose(chance, DECISIONS.get(kind, {"": 1})),
        refunds=_refunds(chance) if kind in REFUNDED and chance.random() < 0.4 else (),
        twins=chance.choice((1, 1, 1, 1, 1, 1, 2, 3)),
        hang_up_seconds=chance.uniform(0.01, 0.2) if chance.random() < 0.1 else None,
        patience_seconds=chance.uniform(0.02, 1),
        reads=tuple(chance.sample(READS, 2)),
        faults=tuple(_fault(chance) for _ in range(_choose(chance, SPOILT))),
    )


def _amounts(chance: random.Random, kind: str, amount: int) -> list[int]:
    first = chance.randrange(1, amount)
    match kind:
        case "exact" | "late" | "raced":
            return [amount]
        case "parts":
            second = chance.randrange(1, first) if first > 1 else 0
            return [part for part in (amount - first, second, first - second) if part]
        case "over":
            return [amount + first]
        case "twice":
            return [amount, amount]
        case "under":
            return [first]
        case _:
            return []


def _transfer(chance: random.Random, amount: int) -> Transfer:
    return Transfer(
        amount=amount,
        webhook=_choose(chance, WEBHOOKS),
        pause_seconds=chance.uniform(0, 0.5),
        delay_seconds=chance.uniform(0, 5),
    )


def _refunds(chance: random.Random) -> tuple[RefundWish, ...]:
    shares = chance.choice([(100,), (30,), (60, 60, 60), (40, 40, 40), (100, 100), (25, 75, 10)])
    return tuple(
        RefundWish(
            percent=share,
            destination=chance.choice([SOURCE, SOURCE, ACCOUNT, REJECTED_ACCOUNT]),
            is_returned=chance.random() < 0.15,
        )
        for share in shares
    )


def _fault(chance: random.Random) -> Mapping[str, str | int | float]:
    return {**chance.choice(PROVIDER_FAULTS), "path": _choose(chance, PROVIDER_PATHS)}


def _choose(chance: random.Random, weights: Mapping[T, int]) -> T:
    return chance.choices(list(weights), list(weights.values()))[0]
