"""What the comparison finds, and which way a schema travels.

A change makes a schema *narrower* (less satisfies it), *wider* (more does), or just *different*.
What we receive must not become narrower: clients send today what would be refused. What we send
must not become wider: clients were built for what would be exceeded. Different is always wrong.
"""

from dataclasses import dataclass
from enum import Enum

KEEP_ACCEPTING = "Clients send it today: keep accepting it."
KEEP_PROMISE = (
    "Clients are built without it: keep to what was promised, or tell it in a new member."
)
MAY_GROW = "Clients are built without it. A set that must grow is a string with x-extensible-enum."
KEEP_NAME = "Clients are built with the old one: put it back, and add the new one beside it."
FROZEN = "It is released: put it back byte for byte, and make the change in the next version."


class Direction(Enum):
    """Which way a schema travels, and how a message calls that."""

    INBOUND = "requests"
    OUTBOUND = "responses"


@dataclass(frozen=True, slots=True)
class Breakage:
    """A change that would break who uses the contract today: where, what, and what to do."""

    where: str  # file#/pointer
    what: str
    advice: str
    used_by: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Write it for whoever made the change."""
        users = _listed(self.used_by)
        return f"{self.where}: {self.what}{users}\n    {self.advice}"


_USERS_SHOWN_MAX = 3


def _listed(users: tuple[str, ...]) -> str:
    if not users:
        return ""
    shown = ", ".join(users[:_USERS_SHOWN_MAX])
    more = len(users) - _USERS_SHOWN_MAX
    return f" (in {shown} and {more} more)" if more > 0 else f" (in {shown})"


class Findings:
    """Collects breakages; one that several operations meet is told once."""

    def __init__(self) -> None:
        self._users: dict[tuple[str, str, str], list[str]] = {}

    def add(self, where: str, what: str, advice: str, used_by: str = "") -> None:
        """Note one."""
        users = self._users.setdefault((where, what, advice), [])
        if used_by and used_by not in users:
            users.append(used_by)

    def all(self) -> list[Breakage]:
        """Return them in the order in which they were found."""
        return [Breakage(*key, tuple(users)) for key, users in self._users.items()]
