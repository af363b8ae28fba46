"""Topics: names, partitions and retention.

The suffix is the generation: every version of a schema that goes to one topic satisfies the first.
"""

from dataclasses import dataclass
from datetime import timedelta

WEBHOOKS = "payments.webhooks.v1"  # stored webhooks that wait to be applied; key: order code
EVENTS = "payments.events.v1"  # what happened to payments; key: payment id
DEAD_LETTERS = "payments.webhooks.dlq.v1"  # webhooks that could not be applied


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as `payment-service migrate` creates it."""

    name: str
    retention: timedelta


TOPICS = (
    Topic(WEBHOOKS, timedelta(days=7)),
    Topic(EVENTS, timedelta(days=30)),
    Topic(DEAD_LETTERS, timedelta(days=90)),
)
