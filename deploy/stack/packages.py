"""Programs and libraries from the operating system; installed by apt when we are allowed to."""

import ctypes
import os
import shutil
import time

from deploy.stack.cache import file_lock
from deploy.stack.command import Progress, run
from deploy.stack.errors import CommandFailed, Unavailable

SYSTEM_DIRECTORIES = ("/usr/sbin", "/sbin")
"""Where servers live; often not on the PATH of an ordinary user."""

INSTALL_TIMEOUT_SECONDS = 300.0
UPDATE_TIMEOUT_SECONDS = 90.0


def find_program(name: str) -> str | None:
    """Return the path of a program, or None."""
    path = os.environ.get("PATH", os.defpath)
    return shutil.which(name, path=os.pathsep.join([path, *SYSTEM_DIRECTORIES]))


def ensure_program(name: str, package: str, *, progress: Progress) -> str:
    """Return the path of a program, installing its Debian package if it is missing.

    Raises:
        Unavailable: it is missing and cannot be installed here.
    """
    found = find_program(name)
    if found is None:
        _install(package, wanted=name, progress=progress)
        found = find_program(name)
    if found is None:
        raise Unavailable(f"{name} is not on the PATH although {package} is installed")
    return found


def ensure_library(name: str, package: str, *, progress: Progress) -> None:
    """See that the loader finds a shared library, installing its Debian package if not.

    Raises:
        Unavailable: it is missing and cannot be installed here.
    """
    if not _is_loadable(name):
        _install(package, wanted=name, progress=progress)
    if not _is_loadable(name):
        raise Unavailable(f"the loader does not find {name} although {package} is installed")


def _is_loadable(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _install(package: str, *, wanted: str, progress: Progress) -> None:
    advice = f"{wanted} is missing: install it (Debian: apt-get install {package})"
    apt = shutil.which("apt-get")
    if apt is None:
        raise Unavailable(f"{advice}; there is no apt-get here to do it")
    if os.geteuid() != 0:
        raise Unavailable(f"{advice} as root")
    progress(f"Installing {package} ...")
    started = time.monotonic()
    with file_lock("apt"):
        try:
            _apt_install(apt, package)
        except CommandFailed as error:
            raise Unavailable(f"{advice}; apt could not: {error}") from error
    progress(f"Installed {package} in {time.monotonic() - started:.0f} s")


def _apt_install(apt: str, package: str) -> None:
    options = [
        "-o=Acquire::Retries=0",
        "-o=Acquire::http::Timeout=5",
        "-o=Acquire::https::Timeout=5",
        "-o=DPkg::Lock::Timeout=120",
    ]
    install = [
        "/usr/bin/env",
        "DEBIAN_FRONTEND=noninteractive",
        apt,
        *options,
        "install",
        "--yes",
        "--no-install-recommends",
        package,
    ]
    try:
        run(install, timeout_seconds=INSTALL_TIMEOUT_SECONDS)
    except CommandFailed:
        # A fresh machine has no package lists, or old ones that name versions since removed.
        run([apt, *options, "update"], timeout_seconds=UPDATE_TIMEOUT_SECONDS)
        run(install, timeout_seconds=INSTALL_TIMEOUT_SECONDS)
