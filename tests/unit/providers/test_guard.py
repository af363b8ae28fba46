"""The guard: what is tried again, what is held back, and what it tells."""

import asyncio
from collections.abc import Callable

import pytest

from payment_service.providers import circuit_breaker, guard as module
from payment_service.providers.circuit_breaker import CircuitState
from payment_service.providers.deadline import CALL_SECONDS_MIN, RECORD_SECONDS, within
from payment_service.providers.guard import TRIES_MAX, Guard
from payment_service.providers.notices import CallEnded, CircuitChanged, Notice, RetryWanted
from payment_service.providers.provider import (
    HeldBack,
    Operation,
    OutcomeUnknown,
    ProviderError,
    ProviderFailing,
    ProviderMisconfigured,
    ProviderThrottled,
    ProviderTimeout,
    RequestNotSent,
    RequestRejected,
)
from payment_service.providers.retry_budget import CALLS_PER_RETRY
from tests.support.ticking import Ticking


class Line:
    """A provider behind a guard; it answers as `says` tells."""

    def __init__(self) -> None:
        self.now = Ticking()
        self.notices: list[Notice] = []
        self.guard = Guard(self.notices.append, sleep=self.now.sleep, now=self.now)
        self.says: Callable[[], str] = lambda: "well"
        self.sent = 0

    async def send(self, _seconds: float) -> str:
        self.sent += 1
        return self.says()

    async def call(self, operation: Operation = Operation.GET, *, may_repeat: bool = False) -> str:
        return await self.guard.call(operation, self.send, may_repeat=may_repeat)

    def fail(self, error: ProviderError) -> None:
        def raise_it() -> str:
            raise error

        self.says = raise_it

    async def earn_retries(self, number: int) -> None:
        for _ in range(number * CALLS_PER_RETRY):
            await self.call()
        self.sent = 0

    async def trip(self, operation: Operation = Operation.GET) -> None:
        self.fail(ProviderFailing("oops"))
        for _ in range(circuit_breaker.CALLS_MIN):
            with pytest.raises(ProviderFailing):
                await self.call(operation)
        self.sent = 0

    def told(self, kind: type[Notice]) -> list[Notice]:
        return [notice for notice in self.notices if isinstance(notice, kind)]


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.mark.parametrize(
    ("error", "may_repeat", "tries"),
    [
        (RequestNotSent("nobody there"), False, TRIES_MAX),
        (ProviderTimeout("silence"), True, TRIES_MAX),
        (ProviderFailing("500"), True, TRIES_MAX),
        (ProviderThrottled("429"), True, TRIES_MAX),
        (ProviderTimeout("silence"), False, 1),
        (ProviderFailing("500"), False, 1),
        (ProviderThrottled("429"), False, 1),
        (RequestRejected("400"), True, 1),
        (ProviderMisconfigured("401"), True, 1),
        (OutcomeUnknown("a code that we do not know"), True, 1),
    ],
)
async def test_only_what_cannot_act_twice_is_tried_again(
    line: Line, error: ProviderError, *, may_repeat: bool, tries: int
) -> None:
    await line.earn_retries(TRIES_MAX)
    line.fail(error)

    with pytest.raises(type(error)):
        await line.call(may_repeat=may_repeat)

    assert line.sent == tries


async def test_retries_end_where_the_budget_ends(line: Line) -> None:
    line.fail(RequestNotSent("nobody there"))

    with pytest.raises(RequestNotSent):
        await line.call()

    assert line.sent == 2  # one try, and the retry that is free
    assert [notice.is_granted for notice in line.told(RetryWanted)] == [True, False]


async def test_waits_grow_and_are_random(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    await line.earn_retries(TRIES_MAX)
    monkeypatch.setattr(module.random, "uniform", lambda low, high: (low + high) / 2)
    line.fail(RequestNotSent("nobody there"))

    with pytest.raises(RequestNotSent):
        await line.call()

    assert line.now.slept == [module.BACKOFF_SECONDS, 2 * module.BACKOFF_SECONDS]


@pytest.mark.parametrize("kind", [ProviderThrottled, ProviderFailing])
async def test_what_the_provider_asks_for_is_waited_for(
    line: Line, kind: type[ProviderError]
) -> None:
    await line.earn_retries(1)
    line.fail(kind("later", retry_after_seconds=3))

    with pytest.raises(kind):
        await line.call(may_repeat=True)

    assert 3 <= line.now.slept[0] <= 3 + module.BACKOFF_SECONDS


async def test_nobody_waits_longer_than_is_bearable(line: Line) -> None:
    line.fail(ProviderThrottled("later", retry_after_seconds=module.WAIT_SECONDS_MAX + 1))

    with pytest.raises(ProviderThrottled):
        await line.call(may_repeat=True)

    assert (line.sent, line.now.slept) == (1, [])


async def test_a_retry_that_would_come_too_late_is_not_waited_for(line: Line) -> None:
    line.fail(ProviderThrottled("later", retry_after_seconds=2))

    with within(RECORD_SECONDS + CALL_SECONDS_MIN + 1), pytest.raises(ProviderThrottled):
        await line.call(may_repeat=True)

    assert (line.sent, line.now.slept, line.told(RetryWanted)) == (1, [], [])


async def test_with_too_little_time_nothing_is_sent(line: Line) -> None:
    with within(RECORD_SECONDS), pytest.raises(HeldBack):
        await line.call()

    assert line.sent == 0
    assert line.told(CallEnded) == [CallEnded(Operation.GET, "held_back", 0)]


async def test_a_pause_holds_for_everybody(line: Line) -> None:
    line.fail(ProviderThrottled("later", retry_after_seconds=30))
    with pytest.raises(ProviderThrottled):
        await line.call()
    line.says = lambda: "well"

    with pytest.raises(HeldBack) as caught:
        await line.call()

    assert (caught.value.retry_after_seconds, line.sent) == (30, 1)
    line.now.advance(30)
    assert await line.call() == "well"


@pytest.mark.parametrize(
    "error",
    [RequestRejected("20"), ProviderMisconfigured("401"), OutcomeUnknown("231"),
     ProviderThrottled("429", retry_after_seconds=0)],
)  # fmt: skip
async def test_answers_never_open_the_circuit(line: Line, error: ProviderError) -> None:
    line.fail(error)
    for _ in range(10 * circuit_breaker.CALLS_MIN):
        with pytest.raises(type(error)):
            await line.call()

    assert line.told(CircuitChanged) == []


@pytest.mark.parametrize(
    "error", [RequestNotSent("refused"), ProviderTimeout("silence"), ProviderFailing("500")]
)
async def test_an_open_circuit_holds_back_its_own_operation_only(
    line: Line, error: ProviderError
) -> None:
    line.fail(error)
    for _ in range(circuit_breaker.CALLS_MIN):
        with pytest.raises(ProviderError):
            await line.call(Operation.CREATE)
    line.says = lambda: "well"
    line.sent = 0

    with pytest.raises(HeldBack) as caught:
        await line.call(Operation.CREATE)
    with pytest.raises(HeldBack):
        line.guard.check_ready(Operation.CREATE)

    assert 0 < (caught.value.retry_after_seconds or 0) <= circuit_breaker.OPEN_SECONDS_MAX
    assert line.sent == 0
    for operation in set(Operation) - {Operation.CREATE}:
        line.guard.check_ready(operation)
        assert await line.call(operation) == "well"


async def test_of_a_hundred_callers_at_once_one_probes(line: Line) -> None:
    await line.trip()
    line.now.advance(circuit_breaker.OPEN_SECONDS_MAX)
    answered = asyncio.Event()

    async def probe(_seconds: float) -> str:
        line.sent += 1
        await answered.wait()
        return "well"

    async def one() -> str:
        return await line.guard.call(Operation.GET, probe, may_repeat=True)

    callers = [asyncio.create_task(one()) for _ in range(100)]
    done, waiting = await asyncio.wait(callers, timeout=30, return_when=asyncio.FIRST_COMPLETED)
    while len(waiting) > 1:
        more, waiting = await asyncio.wait(waiting, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        done |= more
    answered.set()

    assert {type(caller.exception()) for caller in done} == {HeldBack}
    assert (await waiting.pop(), len(done), line.sent) == ("well", 99, 1)


async def test_a_caller_who_hangs_up_does_not_keep_the_probe(line: Line) -> None:
    await line.trip()
    line.now.advance(circuit_breaker.OPEN_SECONDS_MAX)
    begun = asyncio.Event()

    async def hang(_seconds: float) -> str:
        begun.set()
        await asyncio.Event().wait()
        return "never"

    caller = asyncio.create_task(line.guard.call(Operation.GET, hang, may_repeat=True))
    await begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    line.says = lambda: "well"

    assert await line.call() == "well"
    assert [notice.outcome for notice in line.told(CallEnded)][-2:] == ["abandoned", "ok"]


async def test_a_long_outage_is_never_amplified(line: Line) -> None:
    line.fail(ProviderFailing("down"))
    calls = 3000  # ten minutes, five a second

    for _ in range(calls):
        with pytest.raises(ProviderError):
            await line.call(may_repeat=True)
        line.now.advance(0.2)

    opened = [n for n in line.told(CircuitChanged) if n.state is CircuitState.OPEN]
    assert len(opened) >= 5
    # What is left of 3,000: those that opened the circuit, one probe each time, a few retries.
    assert line.sent <= circuit_breaker.CALLS_MIN + len(opened) + 10
    line.says = lambda: "well"
    line.now.advance(2 * circuit_breaker.OPEN_SECONDS_MAX)
    assert [await line.call() for _ in range(100)] == ["well"] * 100
    assert line.told(CircuitChanged)[-1].state is CircuitState.CLOSED


async def test_the_brake_of_retries_holds_while_the_circuit_is_closed(line: Line) -> None:
    """Every third call fails, which opens nothing; the retries still stay within a tenth."""
    answers = iter(range(10**6))

    def flaky() -> str:
        if next(answers) % 3 == 0:
            raise ProviderFailing("oops")
        return "well"

    line.says = flaky
    calls, failed = 3000, 0
    for _ in range(calls):
        try:
            await line.call(may_repeat=True)
        except ProviderFailing:
            failed += 1
        line.now.advance(0.2)

    assert line.told(CircuitChanged) == []
    assert failed > 0
    assert 1.05 * calls < line.sent <= 1.1 * calls + 1


async def test_changes_of_the_circuit_are_told(line: Line) -> None:
    await line.trip()
    line.says = lambda: "well"
    line.now.advance(circuit_breaker.OPEN_SECONDS_MAX)
    for _ in range(circuit_breaker.SUCCESSES_TO_CLOSE):
        await line.call()

    told = [(notice.operation, notice.state) for notice in line.told(CircuitChanged)]
    assert told == [(Operation.GET, state) for state in ("open", "half_open", "closed")]
