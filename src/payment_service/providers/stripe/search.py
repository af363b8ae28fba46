"""Finds what we made at Stripe by our own name for it.

Stripe looks things up by its names, and lists them by time; its search by metadata is a minute
behind. Our names carry the time they were made at, so a list of that minute holds the thing. Lists
are never behind: what is not in them was not made.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from payment_service.providers.provider import Operation, OutcomeUnknown
from payment_service.providers.stripe.client import StripeClient

PAGE_LENGTH = 100  # Stripe's largest
PAGES_MAX = 20
NEAR = timedelta(minutes=1)  # most things are made at once, by clocks that nearly agree
SKEW = timedelta(minutes=10)
NAMES_KEPT_MAX = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Things of one kind: where they are listed, and how they tell our name for them."""

    path: str
    name_of: Callable[[dict[str, Any]], object]
    made_within: timedelta  # after our name was made; later is impossible


class Finder:
    """Finds Stripe's names for things of one kind, and remembers the last ones.

    Args:
        client: Asks Stripe.
        kind: What is looked for.
    """

    def __init__(self, client: StripeClient, kind: Kind) -> None:
        self._client = client
        self._kind = kind
        self._known: OrderedDict[str, str] = OrderedDict()

    def remember(self, name: str, stripe_name: str) -> None:
        """Note a pair of names."""
        self._known[name] = stripe_name
        self._known.move_to_end(name)
        if len(self._known) > NAMES_KEPT_MAX:
            self._known.popitem(last=False)

    async def find(self, operation: Operation, name: str, made_at: datetime) -> str | None:
        """Find Stripe's name for what we call `name`; None when there is no such thing.

        Raises:
            OutcomeUnknown: There are too many things of that time to look through.
            ProviderError: See `provider`.
        """
        known = self._known.get(name)
        if known is not None:
            return known
        windows = (
            (made_at - NEAR, made_at + NEAR),
            (made_at - SKEW, made_at + self._kind.made_within + SKEW),
        )
        for begin, end in windows:
            found = await self._look_through(operation, name, begin, end)
            if found is not None:
                self.remember(name, found)
                return found
        return None

    async def _look_through(
        self, operation: Operation, name: str, begin: datetime, end: datetime
    ) -> str | None:
        query: dict[str, str | int] = {
            "limit": PAGE_LENGTH,
            "created[gte]": int(begin.timestamp()),
            "created[lte]": int(end.timestamp()),
        }
        for _ in range(PAGES_MAX):
            page = await self._client.get(operation, self._kind.path, query)
            try:
                for entry in page["data"]:
                    if self._kind.name_of(entry) == name:
                        return str(entry["id"])
                if not page["has_more"]:
                    return None
                query["starting_after"] = page["data"][-1]["id"]
            except (KeyError, IndexError, TypeError, AttributeError) as error:
                raise OutcomeUnknown("Stripe answered in a shape we cannot read") from error
        raise OutcomeUnknown("there are too many to look through at Stripe")
