"""What a run says: numbers against targets, and what makes it fail."""

import time
from contextlib import AsyncExitStack
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from payment_service.providers.payos import webhooks
from tests.benchmarks import chart, machine, messages, report
from tests.benchmarks.__main__ import Outcome, verdict
from tests.benchmarks.rounds import take_turns
from tests.benchmarks.samples import Finding, Sample, Section, percentile
from tests.benchmarks.size import QUICK, Size
from tests.benchmarks.stage import Stage, WrongRows
from tests.support.simulator import PAYMENT


def section(ours: list[float], bare: list[float]) -> Section:
    sides = {
        side: [Sample(rate=rate) for rate in rates]
        for side, rates in {"ours": ours, "bare": bare}.items()
    }
    return Section("row", "a row", sides=sides)


def test_the_table_tells_which_processors_are_full():
    row = Section("row", "a row", sides={
        "ours": [Sample(rate=500, cpu_us=1_500, busy=0.75, beside=0.4)],
        "bare": [Sample(rate=900)],
    })  # fmt: skip
    _, _, heads, ours, bare = report.section_text(row).splitlines()

    assert heads.split()[-5:] == ["us", "busy", "%", "beside", "%"]
    assert ours.split()[-3:] == ["1500", "75", "40"]
    assert bare.split() == ["bare", "900", "900", "900"]


def test_work_is_seen_on_the_processor_that_does_it():
    before = machine.busy_seconds(machine.ALL)
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass

    assert machine.busy_seconds(machine.ALL) - before >= 0.15
    assert machine.busy_seconds(frozenset()) == 0


@pytest.mark.parametrize(
    ("bounds", "value", "is_reached"),
    [
        ({"at_least": 1.5}, 1.5, True),
        ({"at_least": 1.5}, 1.4999, False),
        ({"at_most": 25}, 25, True),
        ({"at_most": 25}, 25.001, False),
        ({}, 1, None),
    ],
)
def test_a_target_is_reached_at_its_bound(bounds, value, is_reached):
    assert Finding(what="x", values=[value], **bounds).is_reached is is_reached


def test_ratios_are_taken_round_by_round_so_that_a_bad_round_of_both_changes_nothing():
    measured = section(ours=[200, 20, 200], bare=[100, 10, 100])

    assert measured.ratios("ours", "bare") == [2, 2, 2]


def test_the_percentile_is_the_nearest_rank():
    times = [float(number) for number in range(1, 101)]

    assert [percentile(times, share) for share in (0.5, 0.99, 1.0)] == [50, 99, 100]
    assert percentile([7.0], 0.99) == 7


async def test_sides_take_turns_and_the_first_round_is_not_counted():
    begun: list[str] = []

    async def run(side: str, _work: int) -> Sample:
        begun.append(side)
        return Sample(rate=len(begun))

    taken = await take_turns({"a": "a", "b": "b"}, 2, prepare=lambda number: number, run=run)

    assert begun == ["a", "b", "b", "a", "a", "b"]
    assert [sample.rate for sample in taken["a"]] == [4, 5]


class Counted(Stage):
    """A stage whose tables are numbers."""

    rows = 0

    def count(self, database: str, table: str, condition: str = "") -> int:
        return self.rows


@pytest.mark.parametrize("grown", [9, 11])
async def test_a_side_that_did_less_or_more_than_it_was_asked_ends_the_run(tmp_path: Path, grown):
    stage = Counted(tmp_path, AsyncExitStack())

    with pytest.raises(WrongRows, match=f"ours.payments grew by {grown}"):
        async with stage.growing(["ours"], ["payments"], by=10):
            stage.rows = grown


def test_a_target_that_is_not_reached_is_told_and_no_failure():
    measured = section(ours=[1], bare=[2])
    measured.findings = [
        Finding(what="of bare", values=measured.ratios("ours", "bare"), at_least=1.5)
    ]

    assert "BELOW" in report.summary([measured])
    assert verdict(Outcome(about={}, sections=[measured])) == 0


def test_an_alarm_fails_the_run():
    assert verdict(Outcome(about={}, sections=[Section("row", "a row", alarm="slow")])) == 1


def test_a_row_that_failed_fails_the_run():
    assert verdict(Outcome(about={}, failed={"webhook": "WrongRows: 9 instead of 10"})) == 1


@pytest.mark.parametrize(("required", "code"), [("1", 1), ("", 0)])
def test_a_row_without_its_servers_fails_only_where_they_are_required(monkeypatch, required, code):
    monkeypatch.setenv("REQUIRE_STACK", required)

    assert verdict(Outcome(about={}, skipped={"webhook": "no MySQL here"})) == code


def test_the_chart_has_a_bar_for_each_target_and_is_xml():
    measured = section(ours=[3], bare=[2])
    measured.findings = [
        Finding(what="<reached>", values=[1.5], at_least=1),
        Finding(what="below", values=[30], unit="us", at_most=25),
        Finding(what="told only", values=[1]),
    ]

    drawn = ET.fromstring(chart.draw([measured]))

    colours = [each.get("fill") for each in drawn.iter("{http://www.w3.org/2000/svg}rect")]
    assert colours == ["white", chart.REACHED, chart.BELOW]


def test_the_webhooks_of_the_load_are_payos_own_and_each_is_another():
    verified = [
        webhooks.verify(messages.webhook_body(number), (PAYMENT.checksum_key,))
        for number in range(3)
    ]

    assert len({each.event_id for each in verified}) == 3
    assert [each.key for each in verified] == [str(messages.order_code(n)) for n in range(3)]


def test_the_size_is_read_from_the_environment():
    assert Size.read({"BENCH_QUICK": "1"}) == QUICK
    long_run = Size.read({"BENCH_ROWS_LARGE": "1000000", "BENCH_ROUNDS": "3"})
    assert (long_run.rows_large, long_run.rounds, long_run.is_quick) == (1_000_000, 3, False)
