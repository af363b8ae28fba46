"""Who makes a change."""

from dataclasses import dataclass
from enum import StrEnum


class ActorKind(StrEnum):
    """What kind of hand moved it."""

    CLIENT = "client"
    WEBHOOK = "webhook"
    JOB = "job"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who or what makes a change, and the request that it came with."""

    kind: ActorKind
    id: str | None = None
    request_id: str | None = None
