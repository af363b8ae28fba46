"""Places and the line for them: nobody passes, nobody is forgotten, no place is lost."""

import asyncio
from contextlib import closing
from random import Random

from openapi_runtime.places import Places
from tests.simulation.loop import VirtualLoop

COUNT = 2
LONG = 60.0  # seconds


def make_places(*, line_max: int = 9) -> Places:
    return Places(COUNT, line_max=line_max, patience_seconds=LONG)


async def taken(places: Places) -> Places:
    """Take all."""
    for _ in range(COUNT):
        assert await places.take()
    return places


async def come(places: Places, number: int = 1) -> list[asyncio.Task[bool]]:
    """Have some stand in line."""
    line = [asyncio.create_task(places.take()) for _ in range(number)]
    await asyncio.sleep(0)
    return line


async def free_places(places: Places) -> int:
    """Take whatever is free at once, and count it."""
    asked = await come(places, COUNT + 1)
    await asyncio.sleep(0)
    taken = [each for each in asked if each.done()]
    for each in asked:
        each.cancel()
    return len(taken)


async def test_who_came_first_goes_first_and_nobody_passes() -> None:
    places = await taken(make_places())
    first, second = await come(places, 2)

    places.give_back()
    (late,) = await come(places)

    assert await first
    assert not second.done()
    places.give_back()
    assert await second
    assert not late.done()
    places.give_back()
    assert await late


async def test_who_leaves_the_line_takes_no_place_along() -> None:
    places = await taken(make_places())
    gone, stays = await come(places, 2)

    gone.cancel()
    await asyncio.wait([gone])
    places.give_back()

    assert await stays
    places.give_back()
    places.give_back()
    assert await free_places(places) == COUNT


async def test_who_leaves_when_the_turn_has_come_gives_it_on() -> None:
    places = await taken(make_places())
    gone, stays = await come(places, 2)

    places.give_back()
    gone.cancel()  # before it could see
    await asyncio.wait([gone])

    assert gone.cancelled()
    assert await stays


async def test_place_that_nobody_waits_for_is_free_again() -> None:
    places = await taken(make_places())
    (gone,) = await come(places)
    gone.cancel()
    await asyncio.wait([gone])

    places.give_back()

    assert await free_places(places) == 1


def test_each_waits_for_as_long_as_the_next() -> None:
    async def wait(places: Places, after: float) -> tuple[bool, float]:
        await asyncio.sleep(after)
        began = loop.time()
        is_found = await places.take()
        return is_found, loop.time() - began

    async def all_wait() -> list[tuple[bool, float]]:
        places = await taken(make_places())
        return await asyncio.gather(*(wait(places, after) for after in (0, 1, 1, LONG + 5, 500)))

    with closing(VirtualLoop(Random(1))) as loop:
        waits = loop.run_until_complete(all_wait())

    assert waits == [(False, LONG)] * 5


async def test_line_that_is_full_turns_away_at_once() -> None:
    places = await taken(make_places(line_max=1))
    (first,) = await come(places)

    assert not await places.take()

    places.give_back()
    assert await first
    assert len(await come(places)) == 1  # there is room again
    assert not await places.take()
