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
    installs = re.findall(r"pip (?:--python \S+ )?install ([^&]*?)(?:&&|\nFROM|\n[A-Z#])",
                          DOCKERFILE.replace("\\\n", ""))  # fmt: skip

    assert len(installs) == DOCKERFILE.count(" install ") == 3
    assert "-r requirements.lock" in installs[0]
    for install in installs[:-1]:
        assert {"--require-hashes", "--only-binary=:all:"} <= set(install.split())
    assert {"--no-deps", "--no-index"} <= set(installs[-1].split())  # our own wheel


def test_the_image_runs_without_rights() -> None:
    # Numbers: nobody has to look them up to know that they are not root.
    assert re.search(r"^USER [1-9][0-9]{3,}:[1-9][0-9]{3,}$", FINAL_STAGE, re.MULTILINE)
    # Lists, not shell lines: the process itself is PID 1 and hears SIGTERM.
    assert re.search(r'^HEALTHCHECK [^\[]*CMD \["', FINAL_STAGE, re.MULTILINE)
    assert re.search(r'^ENTRYPOINT \["', FINAL_STAGE, re.MULTILINE)
    assert re.search(r'^CMD \["', FINAL_STAGE, re.MULTILINE)
    assert "PYTHONDONTWRITEBYTECODE=1" in FINAL_STAGE  # the root may be read-only
    assert "\nRUN " not in FINAL_STAGE
    assert re.findall(r"^COPY .*", FINAL_STAGE, re.MULTILINE) == ["COPY --from=build /venv /venv"]


def test_the_build_sees_only_what_it_takes() -> None:
    """Whatever else lies in the folder, keys in var/ or the history, is never sent to it."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if not line.startswith("#")]
    seen = {rule[1:] for rule in rules if rule.startswith("!")}

    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    assert rules[0] == "*"
    assert seen == {name for line in copied for name in line.split()}
