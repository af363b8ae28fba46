"""What is installed is what was tested, somebody knows what that is, and it runs without rights."""

import re
from pathlib import Path

import pytest

from deploy.sbom import bill_of_materials, read_lock

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
FINAL_STAGE = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_every_package_is_pinned_with_hashes(name: str) -> None:
    lines = (ROOT / name).read_text().splitlines()
    starts = [line for line in lines if line and not line.startswith((" ", "#", "-"))]

    packages = read_lock("\n".join(lines))

    assert len(packages) == len(starts) > 20
    assert [package.name for package in packages if not package.sha256] == []


def test_the_bill_of_materials_names_what_the_lock_names() -> None:
    lock = (ROOT / "requirements.lock").read_text()

    bill = bill_of_materials(lock, name="payment-service", version="1")

    names = {(each["name"], each["version"]) for each in bill["components"]}
    assert names == {(package.name, package.version) for package in read_lock(lock)}
    assert all(each["purl"].startswith("pkg:pypi/") for each in bill["components"])
    assert bill == bill_of_materials(lock, name="payment-service", version="1")


def test_the_image_is_installed_from_the_lock_alone() -> None:
    installs = re.findall(r"pip install ([^&\n]*)", DOCKERFILE)

    assert "--require-hashes -r requirements.lock" in installs[0]
    assert all("--no-deps" in each or "--require-hashes" in each for each in installs)


def test_the_image_runs_without_rights() -> None:
    assert re.search(r"^USER [1-9][0-9]{3,}$", FINAL_STAGE, re.MULTILINE)  # a number: no lookup
    assert re.search(r"^HEALTHCHECK ", FINAL_STAGE, re.MULTILINE)
    # Lists, not shell lines: the process itself is PID 1 and hears SIGTERM.
    assert re.search(r'^ENTRYPOINT \["', FINAL_STAGE, re.MULTILINE)
    assert re.search(r'^CMD \["', FINAL_STAGE, re.MULTILINE)
    assert "PYTHONDONTWRITEBYTECODE=1" in FINAL_STAGE  # the root may be read-only
    assert "COPY . " not in FINAL_STAGE


def test_nothing_secret_is_copied_into_the_build() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()

    assert {".git", "var", ".venv"} <= set(ignored)
