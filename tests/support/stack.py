"""Fixtures with real servers, each started once per session (and xdist worker) when asked for.

Where a server cannot be had the tests that need it are skipped with the reason; under
`REQUIRE_STACK=1` they fail instead. A test that stops, kills or pauses a server leaves it running.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest

from deploy.stack.errors import Unavailable
from deploy.stack.kafka import KafkaServer
from deploy.stack.mariadb import MariaDBServer
from deploy.stack.mysql import MySQLServer
from deploy.stack.server import Server

AnyServer = TypeVar("AnyServer", bound=Server)


@pytest.fixture(scope="session")
def mysql_server() -> Iterator[MySQLServer]:
    with started(MySQLServer()) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDBServer]:
    with started(MariaDBServer()) as server:
        yield server


@pytest.fixture(scope="session")
def kafka_server() -> Iterator[KafkaServer]:
    with started(KafkaServer()) as server:
        yield server


@contextmanager
def started(server: AnyServer) -> Iterator[AnyServer]:
    """Run a server during a block; skip or fail the test where it cannot be had."""
    try:
        try:
            server.start()
        except Unavailable as reason:
            if os.environ.get("REQUIRE_STACK") == "1":
                pytest.fail(f"REQUIRE_STACK=1, but {server.kind}: {reason}", pytrace=False)
            pytest.skip(f"{server.kind}: {reason}")
        yield server
    finally:
        server.close()
