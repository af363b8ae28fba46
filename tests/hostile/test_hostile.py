"""Every input of the table gets its answer from a real process, and leaves nothing behind."""

from collections import Counter
from pathlib import Path

import pytest

from tests.hostile.run import all_cases, attack, rows, running

DISTINCT_MIN = 500


@pytest.mark.slow
def test_hostile_inputs_get_their_answers_and_nothing_is_stored(tmp_path: Path) -> None:
    with running(tmp_path) as (service, world):
        cases = all_cases(world)
        before = rows(tmp_path)

        outcomes = attack(service.port, cases)

        assert service.call("GET", f"/v1/payments/{world.payment_id}").status_code == 200
        assert rows(tmp_path) == before
    wrong = [f"{outcome.case.door}, {outcome.case.name}: {outcome.got}"
             for outcome in outcomes if not outcome.is_as_expected]  # fmt: skip
    assert wrong == []
    log = (tmp_path / "dev.log").read_text()
    assert "request.failed" not in log
    assert "Traceback" not in log


def test_the_table_is_long_and_has_no_doubles(tmp_path: Path) -> None:
    with running(tmp_path) as (_, world):
        cases = all_cases(world)

    assert len({case.data for case in cases}) >= DISTINCT_MIN
    names = Counter((case.door, case.name) for case in cases)
    assert [name for name, count in names.items() if count > 1] == []
