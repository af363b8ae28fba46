"""The gate as it is run: what was released stays, what is refused says where and what to do."""

import shutil
from pathlib import Path

import pytest
import yaml

from codegen.compatibility.__main__ import check, main
from codegen.compatibility.released import SUMS

ROOT = Path(__file__).parents[4]
EVENTS = "webhook-schemas/events/v1.json"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository whose contract is released as it is."""
    shutil.copy(ROOT / "openapi.yaml", tmp_path)
    shutil.copytree(ROOT / "webhook-schemas", tmp_path / "webhook-schemas")
    for corpus in ("webhooks", "events"):
        source = ROOT / "tests/fixtures" / corpus
        if source.is_dir():
            shutil.copytree(source, tmp_path / "tests/fixtures" / corpus)
    assert main(["--release", "--root", str(tmp_path)]) == 0
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_our_contract_is_compatible_with_the_released_one() -> None:
    assert check(ROOT) == []
    assert (ROOT / SUMS).is_file()


def test_breakage_is_refused_with_its_place_and_a_way_out(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(root / "openapi.yaml", "operationId: getHealth", "operationId: health")

    assert main(["--root", str(root)]) == 1
    assert capsys.readouterr().err == (
        "compatibility: openapi.yaml#/paths/~1v1~1health/get/operationId: was getHealth, and is"
        " health (in getHealth)\n    Clients are built with the old one: put it back, and add the"
        " new one beside it.\nWhat must change nevertheless: docs/how-to/change-the-contract.md\n"
    )


@pytest.mark.parametrize("name", [EVENTS, "tests/fixtures/webhooks/payos/v1/full.json"])
def test_released_file_is_neither_changed_nor_removed(root: Path, name: str) -> None:
    (root / name).write_bytes((root / name).read_bytes() + b"\n")
    changed = check(root)
    (root / name).unlink()
    removed = check(root)

    assert [(found.where, found.what) for found in changed] == [(name, "is not what was released")]
    assert (name, "is gone") in [(found.where, found.what) for found in removed]


def test_released_copy_is_not_edited_by_hand(root: Path) -> None:
    edit(root / "codegen/released/openapi.yaml", "operationId: getHealth", "operationId: health")
    edit(root / "openapi.yaml", "operationId: getHealth", "operationId: health")

    (found,) = check(root)

    assert found.where == "codegen/released/openapi.yaml"


def test_next_version_of_an_event_is_compared_and_frozen_with_the_next_release(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    newest = max((root / "webhook-schemas/events").iterdir())
    later = newest.with_name(f"v{int(newest.stem[1:]) + 1}.json")
    later.write_text(newest.read_text().replace('"const": "1.0"', '"const": "2.0"'))
    refused = [found.where for found in check(root)]
    later.write_bytes(newest.read_bytes())
    name = later.relative_to(root).as_posix()

    assert set(refused) == {f"{name}#/properties/specversion/const"}
    assert main(["--release", "--root", str(root)]) == 0
    assert capsys.readouterr().out.endswith(f"compatibility: froze {name}\n")
    edit(later, "CloudEvents", "CloudEvent")
    assert [found.where for found in check(root)] == [name]


def test_release_needs_a_number_of_its_own(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    contract = yaml.safe_load((root / "openapi.yaml").read_text())
    version = contract["info"]["version"]
    edit(root / "openapi.yaml", "summary: Is the API up", "summary: Whether the API is up")

    refused = main(["--release", "--root", str(root)])
    said = capsys.readouterr().err
    edit(root / "openapi.yaml", f"version: {version}", "version: 99.0.1")

    assert refused == 1
    assert f"is {version}, and {version} is released already" in said
    assert main(["--release", "--root", str(root)]) == 0
    assert main(["--root", str(root)]) == 0


def test_release_is_refused_while_something_breaks(root: Path) -> None:
    before = (root / SUMS).read_bytes()
    edit(root / "openapi.yaml", "operationId: getHealth", "operationId: health")

    assert main(["--release", "--root", str(root)]) == 1
    assert (root / SUMS).read_bytes() == before
