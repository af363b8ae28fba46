"""The scan finds what is there, and refuses what it cannot find."""

from pathlib import Path

import pytest

from tests.chaos import points
from tests.chaos.points import Unnamed, scan


def test_every_kind_of_effect_is_found_with_both_sides() -> None:
    found = scan()

    assert {
        "commit.create_payment.record:before",
        "commit.create_payment.record:after",
        "provider.create:before",
        "relay.publish:after",
        "consumer.commit_offsets:before",
        "answer.createPayment:after",
    } <= set(found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    "source",
    [
        "transact(name, work)",
        'effect(f"commit.{name}")',
        'effect(f"{name}")',
        "transact()",
        "GroupCommit(database, name, work)",
    ],
)
def test_a_name_that_is_not_written_out_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    (tmp_path / "module.py").write_text(source)
    monkeypatch.setattr(points, "SOURCE", tmp_path)

    with pytest.raises(Unnamed, match=r"module\.py:1"):
        scan()


def test_a_new_unit_of_work_is_a_new_failpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "module.py").write_text('database.transact("invented", work)')
    monkeypatch.setattr(points, "SOURCE", tmp_path)

    assert {"commit.invented:before", "commit.invented:after"} <= set(scan())
