"""All that is left to chance in one schedule comes from one seeded generator.

Source of the swarm (each kind of fault is on or off for a whole schedule, so that frequent ones do
not drown rare mixes): FoundationDB's BUGGIFY; Groce et al., "Swarm Testing", ISSTA 2012.
"""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from random import Random

from payment_service.domain import ids

_TOKEN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


class SeededSecrets:
    """Stands in for the module `secrets`, from which `domain.ids` makes names."""

    def __init__(self, chance: Random) -> None:
        self.randbits = chance.getrandbits
        self.token_bytes = chance.randbytes
        self._random = chance.random

    def choice(self, options: Sequence[str]) -> str:
        """Choose one."""
        return options[int(self._random() * len(options))]

    def token_urlsafe(self, size: int) -> str:
        """Make as many characters as `size` bytes take."""
        number = self.randbits(size * 8)
        return "".join(_TOKEN[(number >> shift) & 63] for shift in range(0, size * 8, 6))


@contextmanager
def seeded(chance: Random) -> Iterator[None]:
    """Make names and the jitter between tries follow the seed."""
    real, state = ids.secrets, random.getstate()
    ids.secrets = SeededSecrets(chance)
    random.seed(chance.random())
    try:
        yield
    finally:
        ids.secrets = real
        random.setstate(state)


@dataclass(frozen=True, slots=True, kw_only=True)
class Swarm:
    """How hostile the world is in one schedule. Rates are per step, the rest are probabilities."""

    payments: int
    kill: float
    stall: float
    cut: float  # a connection to the database breaks
    jump: float  # a clock is set
    request_lost: float
    answer_lost: float
    request_delayed: float  # it acts after its caller has given up
    not_sent: float
    refused: float
    slow: float
    webhook_lost: float
    webhook_doubled: float
    webhook_delayed: float
    publish_lost: float  # the broker has the message, the relay does not know
    publish_failed: float
    redelivered: float
    twins: float
    disconnects: float
    cancels: float
    refunds: float
    odd_money: float
    short_lives: float
    foreign_money: float
    poor_wallet: float
    payout_trouble: float

    @property
    def hazards(self) -> float:
        """Return the rate of everything that strikes a process at a step."""
        return self.kill + self.stall + self.cut + self.jump

    def calmed(self) -> "Swarm":
        """Return the same world with a network that works; lost webhooks stay lost."""
        return replace(
            self, kill=0, stall=0, cut=0, jump=0, request_lost=0, answer_lost=0, request_delayed=0,
            not_sent=0, slow=0, publish_lost=0, publish_failed=0, redelivered=0,
        )  # fmt: skip

    @classmethod
    def draw(cls, chance: Random) -> "Swarm":
        """Draw a world; about a third of all faults is off."""

        def sometimes(*rates: float) -> float:
            return chance.choice((0.0, *rates))

        return cls(
            payments=chance.choice((1, 1, 1, 2)),
            kill=sometimes(0.003, 0.012),
            stall=sometimes(0.002, 0.008),
            cut=sometimes(0.003, 0.015),
            jump=sometimes(0.0, 0.003),
            request_lost=sometimes(0.05, 0.2),
            answer_lost=sometimes(0.1, 0.35),
            request_delayed=sometimes(0.05, 0.2),
            not_sent=sometimes(0.05, 0.2),
            refused=sometimes(0.0, 0.1),
            slow=sometimes(0.05, 0.2),
            webhook_lost=sometimes(0.2, 0.6),
            webhook_doubled=sometimes(0.3, 0.6),
            webhook_delayed=sometimes(0.2, 0.6),
            publish_lost=sometimes(0.05, 0.2),
            publish_failed=sometimes(0.05, 0.2),
            redelivered=sometimes(0.05, 0.3),
            twins=sometimes(0.3, 0.7),
            disconnects=sometimes(0.1, 0.3),
            cancels=sometimes(0.2, 0.6),
            refunds=sometimes(0.5, 0.9),
            odd_money=sometimes(0.4, 0.8),
            short_lives=sometimes(0.3, 0.7),
            foreign_money=sometimes(0.2, 0.6),
            poor_wallet=sometimes(0.4, 0.8),
            payout_trouble=sometimes(0.3, 0.7),
        )
