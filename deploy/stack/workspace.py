"""The temporary directory of one server, and the removal of those whose owners died.

An owner holds a lock on a file in its directory. The kernel drops the lock with the owner, so a
directory whose lock is free is stale: no process number has to be trusted.
"""

import os
import shutil
import tempfile
from pathlib import Path

from deploy.stack.cache import file_lock, try_lock

OWNER_LOCK = "owner.lock"
LOCK_TIMEOUT_SECONDS = 60.0


class Workspace:
    """A private temporary directory, removed by `remove`, else by the next one that is made."""

    def __init__(self, kind: str) -> None:
        # One at a time: a directory that is not locked yet must not look stale to another maker.
        with file_lock("workspaces", timeout_seconds=LOCK_TIMEOUT_SECONDS):
            prefix = f"payments-stack-{os.getuid()}-"
            remove_stale(prefix)
            self.path = Path(tempfile.mkdtemp(prefix=f"{prefix}{kind}-"))
            self._lock = os.open(self.path / OWNER_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
            assert try_lock(self._lock)

    def remove(self) -> None:
        """Delete the directory with everything in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def remove_stale(prefix: str) -> None:
    """Delete the directories of this user, named `prefix`..., that no living process owns."""
    for directory in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        if directory.is_symlink() or directory.stat().st_uid != os.getuid():
            continue
        if _is_unowned(directory):
            shutil.rmtree(directory, ignore_errors=True)


def _is_unowned(directory: Path) -> bool:
    try:
        descriptor = os.open(directory / OWNER_LOCK, os.O_RDWR)
    except FileNotFoundError:
        return True
    try:
        return try_lock(descriptor)
    finally:
        os.close(descriptor)
