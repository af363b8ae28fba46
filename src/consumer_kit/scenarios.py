"""What a consumer of `payments.events.v1` must bear, as deliveries and what to believe after them.

Kafka and the outbox deliver at least once, in order per payment; partitions that are added, a topic
that is copied or read twice can do worse. Later versions add members, types and numbers.
"""

import copy
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from consumer_kit.histories import Belief, Event, History, created, refunded

JUMBO = 9_007_199_254_740_991  # minor units; the greatest amount of the contract
LATER_VERSION = 3


@dataclass(frozen=True, slots=True)
class Deliver:
    """A message arrives."""

    key: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Restart:
    """The consumer dies, at no moment of its choice, and a new one takes its place."""


Step = Deliver | Restart


@dataclass(frozen=True, slots=True)
class Scenario:
    """What arrives, and what may be believed of each payment then."""

    name: str
    about: str
    steps: tuple[Step, ...]
    accepted: dict[str, tuple[Belief, ...]] = field(hash=False)


def message(event: Event) -> Deliver:
    """Put an event into a message, as the payment service does."""
    return Deliver(event["subject"], json.dumps(event, separators=(",", ":")).encode())


def _messages(events: Iterable[Event]) -> list[Step]:
    return [message(event) for event in events]


Made = tuple[list[Step], dict[str, tuple[Belief, ...]]]
Make = Callable[[int], Made]
_made: list[tuple[str, str, Make]] = []


def _scenario(make: Make) -> Make:
    about = (make.__doc__ or "").strip()
    _made.append((make.__name__, about, make))
    return make


def scenarios() -> list[Scenario]:
    """Make all of them; each ends with a payment of its own, which must be heard of, too."""
    found = []
    for place, (name, about, make) in enumerate(_made, start=1):
        steps, accepted = make(place * 10)
        last = created(place * 10 + 9)
        steps = [*steps, *_messages(last.events)]
        found.append(Scenario(name, about, tuple(steps), accepted | _truth(last)))
    return found


def _truth(*histories: History) -> dict[str, tuple[Belief, ...]]:
    return {history.payment_id: (history.truth(),) for history in histories}


@_scenario
def in_order(number: int) -> Made:
    """Every event of three payments, once, the payments mixed."""
    stories = [refunded(number), refunded(number + 1), refunded(number + 2)]
    mixed = [event for row in zip(*(s.events for s in stories), strict=True) for event in row]
    return _messages(mixed), _truth(*stories)


@_scenario
def delivered_twice(number: int) -> Made:
    """Each event twice, one right after the other."""
    story = refunded(number)
    return [step for step in _messages(story.events) for _ in range(2)], _truth(story)


@_scenario
def batch_again(number: int) -> Made:
    """The relay died after it had sent a batch: the whole batch is sent again."""
    story = refunded(number)
    steps = _messages(story.events)
    return [*steps[:5], *steps[:5], *steps[5:]], _truth(story)


@_scenario
def read_from_the_beginning(number: int) -> Made:
    """The group's offsets were lost: the topic is read once more."""
    story = refunded(number)
    return _messages(story.events) * 2, _truth(story)


@_scenario
def out_of_order(number: int) -> Made:
    """Neighbours have changed places."""
    story = refunded(number)
    steps = _messages(story.events)
    return [step for pair in _pairs(steps) for step in reversed(pair)], _truth(story)


@_scenario
def backwards(number: int) -> Made:
    """The last event comes first, the first one last."""
    story = refunded(number)
    return _messages(reversed(story.events)), _truth(story)


@_scenario
def gap_that_closes(number: int) -> Made:
    """One event comes after all others, and other payments do not wait for it."""
    story, other = refunded(number), refunded(number + 1)
    steps = _messages(story.events)
    return [*steps[:2], *steps[3:], *_messages(other.events), steps[2]], _truth(story, other)


@_scenario
def gap_that_stays(number: int) -> Made:
    """One event never comes: what is after it is not counted without it, and others go on.

    Who only keeps the newest state may go on to the last event; who counts must wait at the gap.
    """
    story, other = refunded(number), refunded(number + 1)
    steps = [*_messages(story.events[:2]), *_messages(story.events[3:]), *_messages(other.events)]
    waiting = story.truth(story.events[:2])
    return steps, {story.payment_id: (waiting, story.truth()), **_truth(other)}


@_scenario
def restarted(number: int) -> Made:
    """The consumer dies in the midst of it, twice; what it had not committed comes again."""
    story, other = refunded(number), refunded(number + 1)
    steps, others = _messages(story.events), _messages(other.events)
    return [
        *steps[:4], *others[:5], Restart(),
        *steps[2:6], *others[1:], Restart(),
        *steps[3:], *others[6:],
    ], _truth(story, other)  # fmt: skip


@_scenario
def restarted_at_a_gap(number: int) -> Made:
    """The consumer dies while it waits for an event; what it had put off is not sent again."""
    story = refunded(number)
    steps = _messages(story.events)
    return [*steps[:2], *steps[3:], Restart(), steps[2]], _truth(story)


@_scenario
def unknown_members(number: int) -> Made:
    """A later release tells more, everywhere."""
    story = refunded(number)
    return _messages(_with_more(event) for event in story.events), _truth(story)


@_scenario
def unknown_type(number: int) -> Made:
    """A later release tells of something new. It counts in the sequence."""
    story = History(number)
    story.tell("payment.created", "pending", received=0)
    story.tell("payment.inspected", "pending", received=0, inspection={"by": "the future"})
    story.tell("payment.paid", "paid", received=story.amount)
    return _messages(story.events), _truth(story)


@_scenario
def later_version(number: int) -> Made:
    """Events of a version that does not exist yet; whatever it is, it satisfies version 1."""
    story = refunded(number, version=LATER_VERSION)
    return _messages(_with_more(event) for event in story.events), _truth(story)


@_scenario
def versions_mixed(number: int) -> Made:
    """A rolling upgrade of the payment service: version 1 and 2 take turns in one payment."""
    first, second = refunded(number, version=1), refunded(number)
    pairs = enumerate(zip(first.events, second.events, strict=True))
    mixed = [pair[place % 2] for place, pair in pairs]
    return _messages(mixed), _truth(second)


@_scenario
def great_amounts(number: int) -> Made:
    """Amounts that need 53 bits."""
    story = refunded(number, amount=JUMBO)
    return _messages(story.events), _truth(story)


@_scenario
def poison(number: int) -> Made:
    """Messages that are none of ours, on the way to those that are."""
    story = refunded(number)
    key, steps = story.payment_id, _messages(story.events)
    rubbish = [
        b"", b"not JSON", b"\xff\xfe", b"[]", b"null", b'{"data":{}}',
        b'{"specversion":"1.0","type":"x","data":"text"}',
        *(message(event).value for event in _impossible(created(number + 1).events[0])),
    ]  # fmt: skip
    return [*steps[:3], *(Deliver(key, value) for value in rubbish), *steps[3:]], _truth(story)


def _impossible(event: Event) -> Iterator[Event]:
    """Write events that no store could keep: a number without end, half a character."""
    for name, value in (("sequence", 10**30), ("tenant_id", "\ud800"), ("payment", {})):
        yield {**event, "data": event["data"] | {name: value}}
    yield {**event, "id": "\ud800", "subject": "\ud800"}


def _pairs(steps: Sequence[Step]) -> list[Sequence[Step]]:
    return [steps[place : place + 2] for place in range(0, len(steps), 2)]


def _with_more(event: Event) -> Event:
    more = copy.deepcopy(event)
    for node in (more, more["data"], more["data"]["payment"]):
        node["from_the_future"] = {"numbers": [1, 2.5, None], "deep": {"er": True}}
    return more
