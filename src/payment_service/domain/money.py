"""Amounts: whole numbers of a currency's minor unit. There is no float anywhere."""

from dataclasses import dataclass
from enum import StrEnum


class Currency(StrEnum):
    """ISO 4217 codes of the currencies we take. The dong has no minor unit."""

    VND = "VND"


@dataclass(frozen=True, slots=True)
class Money:
    """A positive amount with its currency."""

    amount: int  # minor units
    currency: Currency

    def __post_init__(self) -> None:
        if self.amount <= 0:
            raise ValueError("an amount of money is positive")
