"""`python -m deploy.stack`: settings handed on, and nothing left behind, whoever dies."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.stack.kafka import KafkaServer
from deploy.stack.mariadb import MariaDBServer

ROOT = Path(__file__).parents[2]
START_SECONDS = 120
END_SECONDS = 60

pytestmark = [
    pytest.mark.stack,
    # They skip us where there are no servers, and fill the cache so that starts are short.
    pytest.mark.usefixtures("mariadb_server", "kafka_server"),
]


def command_line(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "deploy.stack", "--mariadb", *arguments]


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def poll(condition, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


@pytest.fixture
def stack(tmp_path) -> Iterator[tuple[subprocess.Popen, list[int], Path]]:
    """A running command line, its two ports and the directory that it may write to."""
    with subprocess.Popen(
        command_line(),
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process, read_ports(process), tmp_path
        finally:
            process.kill()


def read_ports(process: subprocess.Popen) -> list[int]:
    ports = []
    for line in process.stdout:
        if match := re.search(r"@?127\.0\.0\.1:(\d+)", line):
            ports.append(int(match[1]))
        if line.startswith("Stop with"):
            return ports
    pytest.fail("the command line ended before it was ready")


def test_servers_and_directories_are_gone_soon_after_their_owner_is_killed(stack):
    process, ports, directory = stack
    assert [listening(port) for port in ports] == [True, True]

    process.kill()

    assert poll(lambda: not any(listening(port) for port in ports), END_SECONDS)
    assert poll(lambda: not list(directory.iterdir()), END_SECONDS)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_polite_end_stops_everything_and_is_no_failure(stack, ending):
    process, ports, directory = stack

    process.send_signal(ending)

    assert process.wait(END_SECONDS) == 0
    assert not any(listening(port) for port in ports)
    assert list(directory.iterdir()) == []


def test_the_death_of_a_server_is_told_and_ends_the_rest(stack):
    process, ports, directory = stack
    (pid_file,) = directory.glob("*/pid")

    os.kill(int(pid_file.read_text()), signal.SIGKILL)

    assert process.wait(END_SECONDS) == 1
    assert not any(listening(port) for port in ports)


def test_exec_hands_on_the_settings_and_returns_the_exit_code():
    script = "import os; print(os.environ['PAYMENTS_DATABASE_URL']); raise SystemExit(7)"

    ended = subprocess.run(
        command_line("--no-kafka", "--exec", sys.executable, "-c", script),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )

    assert ended.returncode == 7
    pattern = r"mysql\+asyncmy://payments:payments@127\.0\.0\.1:\d+/payments\n"
    assert re.fullmatch(pattern, ended.stdout)


def test_two_servers_of_a_kind_run_side_by_side():
    with MariaDBServer() as one, MariaDBServer() as two, KafkaServer() as three:
        assert len({one.port, two.port, three.port}) == 3
        one.query("CREATE DATABASE only_here")
        assert two.query("SHOW DATABASES LIKE 'only_here'") == []
