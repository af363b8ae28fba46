"""The versions that stand side by side: one out of the history, the working tree, and its next.

Until something is released the old version is the oldest commit that has the working tree's
migrations and knows that a database may be ahead of it; afterwards it is the release before.
"""

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
REVISIONS = Path(__file__).with_name("revisions")
RUN = ("src", "generated", "migrations")  # what runs of a version
SECONDS_MAX = 60
WORKING_TREE = "the working tree"


@dataclass(frozen=True, slots=True)
class Version:
    """A version of the service, laid out in a folder of its own."""

    name: str
    folder: Path

    @property
    def environ(self) -> dict[str, str]:
        """What makes Python import this version and no other."""
        return {"PYTHONPATH": f"{self.folder / 'src'}{os.pathsep}{self.folder}"}

    def launch(self, arguments: Sequence[str], _environ: dict[str, str]) -> list[str]:
        """Give the command line; `-P` keeps the present folder out of the imports."""
        return [sys.executable, "-P", "-m", "payment_service", *arguments]


@dataclass(frozen=True, slots=True)
class Versions:
    """What is rehearsed: `new` expands the schema, `contracted` takes away what `old` needed."""

    old: Version
    new: Version
    contracted: Version


def lay_out(folder: Path, *, wanted: str | None = None) -> Versions:
    """Lay the versions out; `wanted` is a commit or a tag."""
    commit = wanted or find_old()
    old, new, contracted = (folder / name for name in ("old", "new", "contracted"))
    _lay_out_commit(commit, old) if commit else _copy(old)
    _copy(new)
    _add_revision(new, "expand")
    shutil.copytree(new, contracted)
    _add_revision(contracted, "contract")
    name = _git("log", "-1", "--format=%h", commit) if commit else WORKING_TREE
    return Versions(
        old=Version(f"old ({name})", old),
        new=Version("new", new),
        contracted=Version("contracted", contracted),
    )


def find_old() -> str | None:
    """Find what was there before: a release, else a commit; None where there is no history."""
    try:
        return _find_release() or _find_commit()
    except (OSError, subprocess.CalledProcessError):
        return None


def _find_release() -> str | None:
    try:
        return _git("describe", "--tags", "--abbrev=0", "--match=v*", "HEAD^")
    except subprocess.CalledProcessError:
        return None


def _find_commit() -> str | None:
    found = None
    migrations = _git("rev-parse", "HEAD:migrations")
    for commit in _git("rev-list", "--first-parent", "HEAD").split():
        if _git("rev-parse", f"{commit}:migrations") != migrations or not _may_be_behind(commit):
            break
        found = commit
    return found


def _may_be_behind(commit: str) -> bool:
    return "is_ahead" in _git("show", f"{commit}:src/payment_service/storage/migrate.py")


def _lay_out_commit(commit: str, folder: Path) -> None:
    archive = subprocess.run(
        ["git", "archive", "--format=tar", commit, *RUN],
        cwd=ROOT, capture_output=True, check=True, timeout=SECONDS_MAX,
    ).stdout  # fmt: skip
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")


def _copy(folder: Path) -> None:
    for name in RUN:
        shutil.copytree(ROOT / name, folder / name)


def _add_revision(version: Path, name: str) -> None:
    versions = version / "migrations/versions"
    text = (REVISIONS / f"{name}.py").read_text()
    (versions / f"9999_{name}.py").write_text(text.replace("HEAD", _head(versions)))


def _head(versions: Path) -> str:
    """Find the one revision that no other comes after."""
    texts = [path.read_text() for path in versions.glob("*.py")]
    pattern = r'^{}: str(?: \| None)? = "(\w+)"'
    known, before = (
        {found for text in texts for found in re.findall(pattern.format(name), text, re.MULTILINE)}
        for name in ("revision", "down_revision")
    )
    (head,) = known - before
    return head


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments],
        cwd=ROOT, capture_output=True, check=True, text=True, timeout=SECONDS_MAX,
    ).stdout.strip()  # fmt: skip
