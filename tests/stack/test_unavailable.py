"""Where a server cannot be had: a precise reason within seconds, and nothing unchecked is used."""

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from deploy.stack.cache import build_once, file_lock, read_pins
from deploy.stack.download import provide_jars
from deploy.stack.errors import ChecksumMismatch, CommandFailed, Unavailable
from deploy.stack.kafka import KafkaServer
from deploy.stack.mysql import MySQLServer
from deploy.stack.packages import find_program
from deploy.stack.workspace import Workspace

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 5.0


@pytest.fixture
def bare_machine(tmp_path, monkeypatch) -> Path:
    """No programs on the PATH and an empty cache; returns the directory that is the PATH."""
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("PAYMENTS_STACK_CACHE", str(tmp_path / "cache"))
    return programs


@pytest.mark.parametrize("kind", [MySQLServer, KafkaServer])
def test_without_maven_the_reason_says_what_to_install(bare_machine, kind):
    started = time.monotonic()

    with pytest.raises(Unavailable, match=r"mvn is missing: install it .*apt-get install maven"):
        kind().start()

    assert time.monotonic() - started < PATIENCE_SECONDS


@pytest.mark.parametrize(("required", "outcome"), [("", "1 skipped"), ("1", "1 error")])
def test_the_fixtures_skip_with_the_reason_or_fail_where_it_is_required(
    bare_machine, tmp_path, required, outcome
):
    (tmp_path / "test_it.py").write_text("def test_it(kafka_server): pass\n", encoding="utf-8")
    pytest_command = [sys.executable, "-m", "pytest", "-rs", "-p", "tests.support.stack"]

    ended = subprocess.run(
        [*pytest_command, "-p", "no:cacheprovider", "-c", os.devnull, "test_it.py"],
        cwd=tmp_path,
        env={
            **os.environ,
            "REQUIRE_STACK": required,
            "PYTHONPATH": str(ROOT),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert outcome in ended.stdout
    assert "kafka: mvn is missing" in ended.stdout


def test_a_registry_that_does_not_answer_costs_seconds(tmp_path, monkeypatch):
    if find_program("mvn") is None:
        pytest.skip("mvn is missing: install it (Debian: apt-get install maven)")
    monkeypatch.setenv("PAYMENTS_STACK_CACHE", str(tmp_path / "cache"))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mirror = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        (tmp_path / ".m2").mkdir()
        (tmp_path / ".m2" / "settings.xml").write_text(
            "<settings><mirrors><mirror><id>silent</id><mirrorOf>*</mirrorOf>"
            f"<url>{mirror}</url></mirror></mirrors></settings>",
            encoding="utf-8",
        )
        monkeypatch.setenv("MAVEN_OPTS", f"-Duser.home={tmp_path}")
        started = time.monotonic()

        with pytest.raises(Unavailable, match="Maven cannot fetch mysql"):
            provide_jars("mysql")

    # About 7 s, most of it one read that times out; Maven by itself waits for half an hour.
    assert time.monotonic() - started < 60


def test_a_damaged_jar_in_the_cache_is_not_used(bare_machine, tmp_path):
    (name,) = read_pins("mysql")
    damaged = tmp_path / "cache" / "mysql-jars" / name
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"damaged")

    with pytest.raises(Unavailable, match="mvn is missing"):
        provide_jars("mysql")


def test_a_download_that_differs_from_its_pin_is_an_error_and_not_kept(bare_machine, tmp_path):
    (name,) = read_pins("mysql")
    write_program(
        bare_machine / "mvn",
        'for a; do case "$a" in -DoutputDirectory=*) out="${a#*=}";; esac; done\n'
        f'echo other > "$out/{name}"\n',
    )

    with pytest.raises(ChecksumMismatch, match=name):
        provide_jars("mysql")

    assert not list((tmp_path / "cache").glob("mysql-jars/*"))


def test_the_words_of_maven_are_in_the_reason(bare_machine):
    write_program(bare_machine / "mvn", "echo 'Unknown host'; exit 1\n")

    with pytest.raises(Unavailable, match="Unknown host"):
        provide_jars("kafka")


def write_program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}", encoding="utf-8")
    path.chmod(0o755)


def test_a_cache_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("PAYMENTS_STACK_CACHE", str(tmp_path / "file" / "cache"))

    with pytest.raises(Unavailable, match="set PAYMENTS_STACK_CACHE"):
        provide_jars("mysql")


def test_a_lock_that_is_held_too_long_is_told(bare_machine):
    with file_lock("busy"), pytest.raises(Unavailable, match=r"busy\.lock"):  # noqa: SIM117
        with file_lock("busy", timeout_seconds=0.1):
            pass


def test_of_many_who_build_at_once_one_does_the_work(bare_machine):
    builds = []

    def build(directory: Path) -> None:
        builds.append(directory)
        (directory / "file").write_text("built", encoding="utf-8")

    threads = [threading.Thread(target=build_once, args=("thing", build)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert len(builds) == 1
    assert (build_once("thing", build) / "file").read_text(encoding="utf-8") == "built"


def test_a_build_that_fails_leaves_nothing(bare_machine, tmp_path):
    def build(directory: Path) -> None:
        (directory / "half").touch()
        raise CommandFailed("disk full")

    with pytest.raises(CommandFailed, match="disk full"):
        build_once("thing", build)

    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["thing.lock"]


def test_directories_of_dead_owners_are_removed_and_those_of_living_ones_kept(
    bare_machine, tmp_path, monkeypatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    living = Workspace("kafka")
    dead = tmp_path / living.path.name.replace("-kafka-", "-mysql-")
    dead.mkdir()
    (dead / "owner.lock").touch()
    strange = tmp_path / "something-else"
    strange.mkdir()

    newer = Workspace("kafka")

    assert living.path.is_dir()
    assert strange.is_dir()
    assert not dead.exists()
    living.remove()
    newer.remove()
    assert not living.path.exists()
