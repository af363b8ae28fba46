"""Builds the Dockerfile without Docker and without a daemon: buildah, as root.

What this machine trusts, and how its pip is configured, is lent to the build and not kept in it.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.stack.cache import cache_directory
from deploy.stack.command import Progress, run, silent
from deploy.stack.errors import CommandFailed, Unavailable
from deploy.stack.packages import ensure_program

ROOT = Path(__file__).parents[2]
NAME = "localhost/payment-service"
STAND_IN = "stand-in"
STAND_IN_LABEL = "payments.base"
STAND_IN_PACKAGES = "ca-certificates,python3,python3-venv,python3-pip,python-is-python3"
MIRROR = "http://deb.debian.org/debian"
LENT = ("/etc/ssl/certs", "/etc/pip.conf")
COMMAND_SECONDS = 60.0
BUILD_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Image:
    """An image, as it describes itself."""

    config: dict[str, Any]  # in Docker's words: User, Env, Entrypoint, Cmd, Healthcheck, Labels
    bytes: int  # of all layers, unpacked
    base: str

    @property
    def is_on_stand_in(self) -> bool:
        """Whether its base only resembles the one that the Dockerfile names."""
        return self.base == STAND_IN


class Buildah:
    """The images of this project on this machine."""

    def __init__(self, *, progress: Progress = silent) -> None:
        """Find what is needed.

        Raises:
            Unavailable: It cannot be had; the message says what to do.
        """
        if os.geteuid() != 0:
            raise Unavailable("buildah needs root here: sudo make image, or docker build .")
        self._progress = progress
        self._buildah = ensure_program("buildah", "buildah", progress=progress)
        self._folder = cache_directory() / "image"

    def build(self, *, revision: str) -> Image:
        """Build the image of this working tree.

        Raises:
            Unavailable: There is neither the base nor a stand-in.
            CommandFailed: A step of the Dockerfile failed.
        """
        self._provide_base(base_of(ROOT / "Dockerfile"))
        self._progress("Building ...")
        lent = [f"--volume={path}:{path}:ro" for path in LENT if Path(path).exists()]
        self._run(
            "build", "--isolation=chroot", "--pull-never", "--layers", "--format=docker", *lent,
            f"--build-arg=REVISION={revision}", f"--tag={NAME}", str(ROOT), seconds=BUILD_SECONDS,
        )  # fmt: skip
        return self.image()

    def image(self) -> Image:
        """Describe the image that was built last.

        Raises:
            CommandFailed: There is none.
        """
        config = self._inspect(NAME)["Docker"]["config"]
        base = (config["Labels"] or {}).get(STAND_IN_LABEL) or base_of(ROOT / "Dockerfile")
        with self.mounted() as root:
            return Image(config, size_of(root), base)

    @contextmanager
    def mounted(self) -> Iterator[Path]:
        """See the image's files during a block."""
        container = self._run("from", "--pull-never", NAME).strip()
        try:
            yield Path(self._run("mount", container).strip())
        finally:
            self._run("rm", container)

    def _provide_base(self, base: str) -> None:
        try:
            self._inspect(base)
        except CommandFailed:
            self._progress(f"Getting {base} ...")
        else:
            return
        try:
            self._run("pull", base, seconds=BUILD_SECONDS)
        except CommandFailed as error:
            reason = str(error).splitlines()[-1][:200]
            self._progress(f"{base} cannot be pulled: {reason}")
            self._make_stand_in(base)

    def _make_stand_in(self, base: str) -> None:
        """Give Debian with Debian's own Python the name of the base."""
        tool = ensure_program("mmdebstrap", "mmdebstrap", progress=self._progress)
        self._progress("Making a stand-in for it from Debian's packages ...")
        archive = self._folder / "base.tar"
        release = base.rpartition("-")[2]
        options = ["--variant=minbase", f"--include={STAND_IN_PACKAGES}"]
        try:
            run([tool, *options, release, str(archive), MIRROR], timeout_seconds=BUILD_SECONDS)
        except CommandFailed as error:
            raise Unavailable(f"no base to build on: {error}") from error
        container = self._run("from", "scratch").strip()
        self._run("add", container, str(archive), "/", seconds=BUILD_SECONDS)
        self._run("config", f"--label={STAND_IN_LABEL}={STAND_IN}", container)
        self._run("commit", "--rm", "--format=docker", container, base, seconds=BUILD_SECONDS)
        archive.unlink()

    def _inspect(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._run("inspect", "--type=image", name))
        return found

    def _run(self, *arguments: str, seconds: float = COMMAND_SECONDS) -> str:
        self._folder.mkdir(exist_ok=True)
        storage = [f"--root={self._folder}/storage", f"--runroot={self._folder}/run"]
        return run([self._buildah, *storage, *arguments], timeout_seconds=seconds)


def base_of(dockerfile: Path) -> str:
    """Read the full name of the one base that all stages begin with."""
    bases = {
        line.split()[1] for line in dockerfile.read_text().splitlines() if line.startswith("FROM ")
    }
    (base,) = bases
    return f"docker.io/library/{base}"


def size_of(root: Path) -> int:
    """Add up the sizes of all files."""
    found = (Path(folder) / name for folder, _, names in os.walk(root) for name in names)
    return sum(path.lstat().st_size for path in found)
