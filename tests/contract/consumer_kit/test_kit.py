"""The kit is fair and sharp: its events are true ones, and it names what is wrong."""

import json
from pathlib import Path

import jsonschema
import pytest

from consumer_kit.__main__ import main
from consumer_kit.histories import refunded
from consumer_kit.in_process import check
from consumer_kit.scenarios import Deliver, scenarios
from tests.contract.consumer_kit.consumers import (
    CountsIn32Bits,
    CountsTwice,
    DiesOfPoison,
    RefusesUnknownMembers,
    SkipsGaps,
    TrustsArrival,
    WaitsInMemory,
    WantsOneVersion,
    Wrong,
    opened,
)
from tests.contract.test_examples import SCHEMAS, closed

FIRST = jsonschema.Draft202012Validator(SCHEMAS["events/v1.json"])
SCENARIOS = {scenario.name: scenario for scenario in scenarios()}
REORDERED = {"out_of_order", "backwards", "gap_that_closes", "restarted_at_a_gap"}
CAUGHT: list[tuple[type[Wrong], set[str]]] = [
    (CountsTwice, REORDERED | {"delivered_twice", "batch_again", "read_from_the_beginning",
                               "restarted", "gap_that_stays"}),
    (TrustsArrival, REORDERED | {"gap_that_stays"}),
    (SkipsGaps, REORDERED | {"gap_that_stays"}),
    (RefusesUnknownMembers, REORDERED | {"gap_that_stays", "unknown_members", "unknown_type",
                                         "later_version"}),
    (WantsOneVersion, REORDERED | {"gap_that_stays", "later_version", "versions_mixed"}),
    (DiesOfPoison, REORDERED | {"gap_that_stays", "poison"}),
    (CountsIn32Bits, REORDERED | {"gap_that_stays", "great_amounts"}),
    (WaitsInMemory, {"restarted_at_a_gap"}),
]  # fmt: skip


@pytest.mark.parametrize("version", [1, 2])
def test_events_of_the_kit_are_events_of_the_contract(version: int) -> None:
    for event in refunded(7, version=version).events:
        jsonschema.validate(event, closed(SCHEMAS[f"events/v{version}.json"]))


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=list(SCENARIOS))
def test_everything_but_poison_satisfies_the_first_version(scenario) -> None:
    delivered = [step for step in scenario.steps if isinstance(step, Deliver)]
    if scenario.name != "poison":
        for delivery in delivered:
            FIRST.validate(json.loads(delivery.value))
    assert set(scenario.accepted) <= {delivery.key for delivery in delivered}


@pytest.mark.parametrize(("wrong", "caught"), CAUGHT, ids=[wrong.__name__ for wrong, _ in CAUGHT])
async def test_wrong_consumer_is_caught_where_it_is_wrong(
    wrong: type[Wrong], caught: set[str]
) -> None:
    verdicts = await check(opened(wrong), SCENARIOS.values())

    assert {verdict.scenario for verdict in verdicts if not verdict.is_fine} == caught


async def test_fault_says_what_is_wrong() -> None:
    twice = await check(opened(CountsTwice), [SCENARIOS["delivered_twice"]])
    late = await check(opened(TrustsArrival), [SCENARIOS["backwards"]])
    members = await check(opened(RefusesUnknownMembers), [SCENARIOS["unknown_members"]])

    payment = next(iter(SCENARIOS["delivered_twice"].accepted))
    assert twice[0].faults[0] == (
        f"{payment}: payment.created took effect 2 times, and happened 1 times"
    )
    assert any("status is pending, and should be paid" in fault for fault in late[0].faults)
    assert members[0].faults == ("stuck at message 1: AssertionError: unknown members",)


async def test_silence_is_no_success() -> None:
    class Silent(Wrong):
        async def report(self):
            return {key: {"colour": "blue"} for key in self._known}

    (verdict,) = await check(opened(Silent), [SCENARIOS["in_order"]])

    assert all("is told of it" in fault for fault in verdict.faults)
    assert len(verdict.faults) == len(SCENARIOS["in_order"].accepted)


def test_scenarios_can_be_taken_to_other_languages(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(tmp_path)]) == 0
    assert main(["export", str(tmp_path), "--only", "nonsense"]) == 2

    written = {path.stem: json.loads(path.read_text()) for path in tmp_path.iterdir()}
    assert set(written) == set(SCENARIOS)
    assert {"restart": True} in written["restarted"]["steps"]
    assert any("value_base64" in step for step in written["poison"]["steps"])
    assert "there is no scenario nonsense" in capsys.readouterr().err
