"""Jars from the Maven registry: fetched once by the ordinary client, checked on every use."""

import shutil
import tempfile
import time
from pathlib import Path

from deploy.stack.cache import cache_directory, file_lock, files_off_pin, read_pins
from deploy.stack.command import Progress, run, silent
from deploy.stack.errors import ChecksumMismatch, CommandFailed, Unavailable
from deploy.stack.packages import ensure_program

HERE = Path(__file__).parent
DOWNLOAD_TIMEOUT_SECONDS = 600.0
NETWORK_TIMEOUT_MILLISECONDS = 5_000


def provide_jars(group: str, *, progress: Progress = silent) -> list[Path]:
    """Return the jars that `artifacts.sha256` lists for `group`, downloading what is missing.

    Args:
        group: `mysql` or `kafka`: a folder beside this file with a `pom.xml`.
        progress: told before and after a download.

    Raises:
        Unavailable: something is missing and the registry or Maven cannot be had.
        ChecksumMismatch: a fresh download differs from its pin.
    """
    pins = read_pins(group)
    directory = cache_directory() / f"{group}-jars"
    if files_off_pin(directory, pins):
        with file_lock(f"{group}-jars"):
            if files_off_pin(directory, pins):  # nobody was faster while we waited
                _replace(directory, group, pins, progress)
    return [directory / name for name in pins]


def _replace(directory: Path, group: str, pins: dict[str, str], progress: Progress) -> None:
    with tempfile.TemporaryDirectory(dir=cache_directory(), prefix=f"{group}.") as fresh:
        fetch_jars(group, into=Path(fresh), progress=progress)
        wrong = files_off_pin(Path(fresh), pins)
        if wrong:
            raise ChecksumMismatch(
                f"the download of {', '.join(wrong)} differs from deploy/stack/artifacts.sha256."
                " Remove it from the local Maven repository and try again; if it still differs,"
                " do not use it"
            )
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(fresh, directory)


def fetch_jars(group: str, *, into: Path, progress: Progress) -> None:
    """Copy the runtime jars of `group`'s `pom.xml` into a directory, unchecked.

    Raises:
        Unavailable: Maven is missing, or cannot reach its registry: known within seconds.
    """
    maven = ensure_program("mvn", "maven", progress=progress)
    progress(f"Downloading {group} with Maven ...")
    started = time.monotonic()
    try:
        run(_maven_command(maven, group, into), timeout_seconds=DOWNLOAD_TIMEOUT_SECONDS)
    except CommandFailed as error:
        raise Unavailable(f"Maven cannot fetch {group}: give it a registry. {error}") from error
    megabytes = sum(jar.stat().st_size for jar in into.iterdir()) / 1e6
    progress(f"Downloaded {group}: {megabytes:.0f} MB in {time.monotonic() - started:.0f} s")


def _maven_command(maven: str, group: str, into: Path) -> list[str]:
    return [
        maven,
        "--batch-mode",
        "--no-transfer-progress",
        f"--file={HERE / group / 'pom.xml'}",
        # The whole name: for a short one Maven asks the registry about every plugin it knows.
        "org.apache.maven.plugins:maven-dependency-plugin:copy-dependencies",
        "-DincludeScope=runtime",
        f"-DoutputDirectory={into}",
        # Maven's own patience is 10 s to connect and half an hour to read, with three attempts.
        f"-Daether.connector.connectTimeout={NETWORK_TIMEOUT_MILLISECONDS}",
        f"-Daether.connector.requestTimeout={NETWORK_TIMEOUT_MILLISECONDS}",
        f"-Dmaven.wagon.rto={NETWORK_TIMEOUT_MILLISECONDS}",
        "-Dmaven.wagon.http.retryHandler.count=0",
        "-Daether.connector.http.retryHandler.count=0",
    ]
