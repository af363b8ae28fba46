"""The circuit breaker: when it opens, how long, what it lets out, and that it always comes back."""

import itertools

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from payment_service.providers import circuit_breaker as module
from payment_service.providers.circuit_breaker import CircuitBreaker, CircuitState, Permit
from tests.support.ticking import Ticking

LONGEST = module.OPEN_SECONDS_MAX * (1 + module.JITTER) + module.PAUSE_SECONDS_MAX


class Bench:
    """A breaker with a clock, and what it told."""

    def __init__(self, random: float = 0.5) -> None:
        self.now = Ticking()
        self.told: list[tuple[CircuitState, float]] = []
        self.breaker = CircuitBreaker(
            now=self.now,
            random=lambda: random,
            on_change=lambda state, seconds: self.told.append((state, seconds)),
        )

    def call(self, outcome: str) -> bool:
        """Make a call that ends so at once; tell whether it was let out."""
        permit = self.breaker.admit()
        if permit is not None:
            getattr(self.breaker, outcome)(permit)
        return permit is not None

    def trip(self) -> None:
        """Fail until it opens."""
        while self.breaker.state is CircuitState.CLOSED:
            assert self.call("failed")

    def half_open(self) -> None:
        """Wait until probes are let out."""
        self.now.advance(self.breaker.seconds_to_wait())
        assert self.breaker.state is CircuitState.HALF_OPEN


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_few_failures_do_not_open_it(bench: Bench) -> None:
    for _ in range(module.CALLS_MIN - 1):
        assert bench.call("failed")

    assert bench.breaker.state is CircuitState.CLOSED


def test_it_opens_when_half_of_the_calls_fail(bench: Bench) -> None:
    for _ in range(module.CALLS_MIN):
        bench.call("succeeded")
    for number in range(module.CALLS_MIN):
        assert bench.breaker.state is CircuitState.CLOSED, number
        bench.call("failed")

    assert bench.breaker.state is CircuitState.OPEN
    assert not bench.call("succeeded")


def test_fewer_than_half_never_open_it(bench: Bench) -> None:
    for _ in range(500):
        assert bench.call("succeeded")
        assert bench.call("succeeded")
        assert bench.call("failed")
        bench.now.advance(0.5)

    assert bench.told == []


def test_old_failures_are_forgotten(bench: Bench) -> None:
    for _ in range(10 * module.CALLS_MIN):
        assert bench.call("failed")
        bench.now.advance(module.WINDOW_SECONDS / (module.CALLS_MIN - 2))

    assert bench.told == []


def test_traffic_does_not_make_the_window_grow(bench: Bench) -> None:
    for _ in range(10_000):
        bench.call("succeeded")
        bench.now.advance(0.01)

    assert len(bench.breaker._window._slices) <= module.WINDOW_SECONDS / module.SLICE_SECONDS + 1


@pytest.mark.parametrize("random", [0.0, 0.5, 1.0])
def test_each_failed_probe_doubles_the_time_up_to_a_cap(random: float) -> None:
    bench = Bench(random)
    bench.trip()
    for _ in range(2000):  # more doublings than a float has room for
        bench.half_open()
        bench.call("failed")

    opened = [seconds for state, seconds in bench.told if state is CircuitState.OPEN]
    factor = 1 + module.JITTER * (2 * random - 1)
    expected = [min(module.OPEN_SECONDS * 2**n, module.OPEN_SECONDS_MAX) for n in range(6)]
    assert opened[:6] == pytest.approx([seconds * factor for seconds in expected])
    assert set(opened[6:]) == {module.OPEN_SECONDS_MAX * factor}


def test_it_says_how_long_to_wait(bench: Bench) -> None:
    bench.trip()
    bench.now.advance(2)

    assert bench.breaker.seconds_to_wait() == bench.breaker.ask() == module.OPEN_SECONDS - 2


def test_of_a_hundred_callers_exactly_one_probes(bench: Bench) -> None:
    bench.trip()
    bench.half_open()

    permits = [bench.breaker.admit() for _ in range(100)]

    assert sum(permit is not None for permit in permits) == 1
    assert bench.breaker.seconds_to_wait() == module.PROBE_SECONDS


def test_of_a_hundred_who_ask_exactly_one_prepares_a_call(bench: Bench) -> None:
    bench.trip()
    bench.half_open()

    assert [bench.breaker.ask() for _ in range(100)].count(0) == 1
    bench.now.advance(module.PROMISE_SECONDS)  # the one who was told to go ahead never came
    assert [bench.breaker.ask() for _ in range(100)].count(0) == 1
    assert bench.call("succeeded")  # the next need not wait for the promise to run out
    assert [bench.breaker.ask() for _ in range(100)].count(0) == 1


def test_several_successes_in_a_row_close_it(bench: Bench) -> None:
    bench.trip()
    bench.half_open()
    for number in range(module.SUCCESSES_TO_CLOSE):
        assert bench.breaker.state is CircuitState.HALF_OPEN, number
        bench.call("succeeded")

    assert [state for state, _ in bench.told] == ["open", "half_open", "closed"]
    assert [bench.call("succeeded") for _ in range(100)] == [True] * 100


def test_once_closed_it_opens_for_the_shortest_time_again(bench: Bench) -> None:
    for _ in range(2):
        bench.trip()
        bench.half_open()
        bench.call("failed")
        bench.half_open()
        for _ in range(module.SUCCESSES_TO_CLOSE):
            bench.call("succeeded")

    opened = [seconds for state, seconds in bench.told if state is CircuitState.OPEN]
    assert opened == [module.OPEN_SECONDS, 2 * module.OPEN_SECONDS] * 2


def test_an_abandoned_probe_makes_room_for_another(bench: Bench) -> None:
    bench.trip()
    bench.half_open()

    assert bench.call("abandoned")
    assert bench.breaker.state is CircuitState.HALF_OPEN
    assert bench.breaker.admit() is not None


@pytest.mark.parametrize("outcome", ["succeeded", "failed", "abandoned"])
def test_a_late_answer_changes_nothing(bench: Bench, outcome: str) -> None:
    late = bench.breaker.admit()
    assert late is not None
    bench.trip()
    bench.half_open()
    probe = bench.breaker.admit()
    assert probe is not None

    getattr(bench.breaker, outcome)(late)

    assert bench.breaker.state is CircuitState.HALF_OPEN
    assert bench.breaker.admit() is None  # the probe is still under way
    for _ in range(module.SUCCESSES_TO_CLOSE - 1):
        bench.breaker.succeeded(probe)
        probe = bench.breaker.admit()
        assert probe is not None
    assert bench.breaker.state is CircuitState.HALF_OPEN  # the late one was not counted


@pytest.mark.parametrize(
    ("asked", "expected"),
    [(None, module.PAUSE_SECONDS), (7, 7), (86_400, module.PAUSE_SECONDS_MAX)],
)
def test_a_pause_is_kept_and_bounded(bench: Bench, asked: float | None, expected: float) -> None:
    bench.breaker.pause(asked)

    assert bench.breaker.seconds_to_wait() == expected
    assert not bench.call("succeeded")
    bench.now.advance(expected)
    assert bench.call("succeeded")
    assert bench.told == []


def test_every_short_story_keeps_the_rules() -> None:
    """Seven moves out of five, all 78,125 of them, from the moment that it opened."""
    for story in itertools.product("asfxt", repeat=7):
        bench = Bench()
        bench.trip()
        permits: list[Permit] = []
        for move in story:
            outstanding = sum(permit.epoch == bench.breaker._epoch for permit in permits)
            state = bench.breaker.state
            if move == "a":
                permit = bench.breaker.admit()
                assert (permit is None) or state is not CircuitState.OPEN
                assert not (permit and state is CircuitState.HALF_OPEN and outstanding)
                permits += [permit] if permit else []
            elif move == "t":
                bench.now.advance(bench.breaker.seconds_to_wait())
            elif permits:
                outcome = {"s": "succeeded", "f": "failed", "x": "abandoned"}[move]
                getattr(bench.breaker, outcome)(permits.pop(0))


class Breaking(RuleBasedStateMachine):
    """Any mixture of calls, endings, pauses and times."""

    permits = Bundle("permits")

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        self.breaker = self.bench.breaker
        self.under_way: list[Permit] = []

    @rule(target=permits)
    def admit(self) -> Permit | None:
        state, wait = self.breaker.state, self.breaker.seconds_to_wait()
        permit = self.breaker.admit()
        assert (permit is not None) == (wait == 0)
        assert not (permit and state is CircuitState.OPEN)
        if permit is not None:
            self.under_way.append(permit)
        return permit

    @rule(permit=consumes(permits), outcome=st.sampled_from(["succeeded", "failed", "abandoned"]))
    def end(self, permit: Permit | None, outcome: str) -> None:
        if permit is None:
            return
        is_late = permit.epoch != self.breaker._epoch
        before = (self.breaker.state, self.breaker.seconds_to_wait())
        getattr(self.breaker, outcome)(permit)
        self.under_way = [each for each in self.under_way if each is not permit]
        assert not is_late or before == (self.breaker.state, self.breaker.seconds_to_wait())

    @rule(seconds=st.sampled_from([None, 0.0, 3.0, 1e6]))
    def pause(self, seconds: float | None) -> None:
        self.breaker.pause(seconds)

    @rule(seconds=st.sampled_from([0.0, 0.1, 1.0, 4.9, 30.0, 61.0]))
    def wait(self, seconds: float) -> None:
        self.bench.now.advance(seconds)

    @rule()
    def fail_often(self) -> None:
        for _ in range(module.CALLS_MIN):
            self.bench.call("failed")

    @rule()
    def ask(self) -> None:
        assert self.breaker.ask() >= self.breaker.seconds_to_wait()

    @invariant()
    def one_probe_at_a_time(self) -> None:
        if self.breaker.state is CircuitState.HALF_OPEN:
            now = [each for each in self.under_way if each.epoch == self.breaker._epoch]
            assert len(now) <= 1

    @invariant()
    def nobody_waits_for_ever(self) -> None:
        assert 0 <= self.breaker.seconds_to_wait() <= LONGEST

    def teardown(self) -> None:
        """Whatever happened, it closes soon once the provider is well."""
        for permit in self.under_way:
            self.breaker.abandoned(permit)
        for _ in range(2 * module.SUCCESSES_TO_CLOSE):
            self.bench.now.advance(self.breaker.seconds_to_wait())
            assert self.bench.call("succeeded")
        assert self.breaker.state is CircuitState.CLOSED


TestAnyStory = Breaking.TestCase
