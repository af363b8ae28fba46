"""The cache directory, its locks, and the pins that everything in it is checked against."""

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.stack.errors import Unavailable

PINS_PATH = Path(__file__).with_name("artifacts.sha256")
LOCK_POLL_SECONDS = 0.05
LOCK_TIMEOUT_SECONDS = 900.0
"""Longer than the longest download, which another process may be at while we wait."""


def cache_directory() -> Path:
    """Return the directory of downloads: `PAYMENTS_STACK_CACHE`, or one below `~/.cache`.

    Raises:
        Unavailable: it cannot be created.
    """
    default = Path.home() / ".cache" / "payment-service-stack"
    directory = Path(os.environ.get("PAYMENTS_STACK_CACHE") or default)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(
            f"the cache directory {directory} cannot be made ({error.strerror}):"
            " set PAYMENTS_STACK_CACHE to a directory that you may write"
        ) from error
    return directory


@contextmanager
def file_lock(name: str, *, timeout_seconds: float = LOCK_TIMEOUT_SECONDS) -> Iterator[None]:
    """Hold the lock `name` of this cache against all other processes.

    The kernel lets go of it when its holder dies, so a crash leaves nothing to clean up.

    Raises:
        Unavailable: another process has held it for `timeout_seconds`.
    """
    path = cache_directory() / f"{name}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + timeout_seconds
        while not try_lock(descriptor):
            if time.monotonic() > deadline:
                raise Unavailable(f"another process holds {path} for {timeout_seconds:g} s")
            time.sleep(LOCK_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Lock an open file against other processes, or return False at once."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def build_once(name: str, build: Callable[[Path], None]) -> Path:
    """Return the directory `name` of the cache; if it is missing, `build` fills it first.

    It appears whole or not at all: it is built beside its place and renamed.
    """
    directory = cache_directory() / name
    if directory.is_dir():
        return directory
    with file_lock(name):
        if not directory.is_dir():
            unfinished = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=cache_directory()))
            try:
                build(unfinished)
                unfinished.rename(directory)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
    return directory


def read_pins(group: str) -> dict[str, str]:
    """Return the SHA-256 in hex of each file of `group`, by file name."""
    pins = {}
    for line in PINS_PATH.read_text(encoding="utf-8").splitlines():
        digest, _, path = line.partition("  ")
        if path.startswith(f"{group}/"):
            pins[path.removeprefix(f"{group}/")] = digest
    return pins


def files_off_pin(directory: Path, pins: dict[str, str]) -> list[str]:
    """Return the names whose file in `directory` is missing or has another checksum."""
    return [name for name, digest in pins.items() if sha256(directory / name) != digest]


def sha256(path: Path) -> str | None:
    """Return the SHA-256 of a file in hex, or None if there is no such file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None
