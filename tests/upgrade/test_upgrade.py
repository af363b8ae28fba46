"""An upgrade and its roll-back, in small: nobody notices. `make upgrade` is the large one."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.simulator import Simulator
from tests.upgrade import versions as versions_module
from tests.upgrade.rehearsal import BRIEF, ROLES
from tests.upgrade.story import rehearse
from tests.upgrade.versions import Version, Versions, lay_out


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Versions:
    return lay_out(tmp_path_factory.mktemp("versions"))


@pytest.mark.stack
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.xdist_group("stack")
async def test_an_upgrade_and_its_roll_back_under_load_are_noticed_by_nobody(
    tmp_path: Path,
    versions: Versions,
    mysql_server: Any,
    kafka_server: Any,
    simulator: Simulator,
) -> None:
    report = await rehearse(
        tmp_path, versions, BRIEF, mysql=mysql_server, kafka=kafka_server, simulator=simulator
    )

    tally, outcome = report.tally, report.outcome
    assert tally.errors == []
    assert outcome.unready == []
    assert outcome.lost == []
    assert outcome.audit == ""
    assert dict(outcome.exits) == {0: len(ROLES) * 2 + 1}, "old, new, and the API again"
    assert all(count >= BRIEF.payments_per_step for count in tally.paid.values())
    assert len(tally.paid) == 4, "in every step something was paid"
    assert outcome.events >= 4 * tally.paid.total()


def test_each_process_runs_the_code_and_migrations_of_its_own_version(versions: Versions) -> None:
    for version in (versions.old, versions.new, versions.contracted):
        assert imported(version) == {
            str(version.folder / "src/payment_service/__init__.py"),
            str(version.folder / "generated/__init__.py"),
            str(version.folder / "migrations"),
        }


def imported(version: Version) -> set[str]:
    program = (
        "import payment_service, generated;"
        "from payment_service.storage import migrate;"
        "print(payment_service.__file__, generated.__file__, migrate._CHECKED_OUT)"
    )
    done = subprocess.run(
        [*version.launch([], {})[:2], "-c", program],
        env=os.environ | version.environ, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return set(done.stdout.split())


def test_versions_differ_by_what_is_added_and_taken_away(versions: Versions) -> None:
    def revisions(version: Version) -> set[str]:
        return {path.name for path in (version.folder / "migrations/versions").glob("*.py")}

    assert revisions(versions.new) - revisions(versions.old) == {"9999_expand.py"}
    assert revisions(versions.contracted) - revisions(versions.new) == {"9999_contract.py"}
    expand = (versions.new.folder / "migrations/versions/9999_expand.py").read_text()
    assert 'down_revision: str | None = "0001"' in expand


def test_without_a_history_the_working_tree_stands_for_the_old_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_git(*_: str) -> str:
        raise FileNotFoundError("git")

    monkeypatch.setattr(versions_module, "_git", no_git)

    made = lay_out(tmp_path)

    assert made.old.name == "old (the working tree)"
    assert (made.old.folder / "src/payment_service/cli.py").is_file()
    assert sys.executable in made.old.launch([], {})
