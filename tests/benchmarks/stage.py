"""What rows share: servers, databases, and the processes of both sides, started when asked for."""

import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx

from deploy.stack.database import DatabaseServer
from deploy.stack.errors import Unavailable
from deploy.stack.kafka import KafkaServer
from deploy.stack.mariadb import MariaDBServer
from deploy.stack.mysql import MySQLServer
from payment_service.messaging.connect import open_broker
from payment_service.storage import migrate
from payment_service.storage.database import Database
from tests.benchmarks import machine
from tests.support import simulator
from tests.support.deployment import AUTH, Deployment, Launch, from_source
from tests.support.process import AUTH_SECRET, free_port, wait_until

START_SECONDS = 90
FIRST_NUMBER = 10**9  # of payments; below are those that are there from the beginning
STOP_SECONDS = 10


class WrongRows(Exception):
    """A side did not do what it was asked: its figures mean nothing."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The PAYOS_* settings, in the place of a simulator's."""

    environment: dict[str, str]


class Peer:
    """A process of `tests/benchmarks/peers`."""

    def __init__(
        self,
        module: str,
        database: str,
        environ: dict[str, str],
        log: Path,
        *,
        cpus: frozenset[int] = machine.SERVER,
    ) -> None:
        self.database = database
        self._cpus = cpus
        self.port = free_port()
        self._name = f"tests.benchmarks.peers.{module}"
        self._log = log
        settings = {**os.environ, **environ, "PORT": str(self.port)}
        with log.open("wb") as output, machine.born_on(machine.ALL):
            self.process = subprocess.Popen(
                [sys.executable, "-m", self._name], env=settings, stdout=output, stderr=output
            )
        self.pid = self.process.pid

    def wait_until_ready(self) -> None:
        """Return when it answers at /ready."""
        wait_until(self._answers, seconds=START_SECONDS, what=f"{self._name} answers")
        self.settle()

    def settle(self) -> None:
        """Have it run where it belongs; it starts anywhere."""
        machine.move(self.pid, self._cpus)

    def _answers(self) -> bool:
        assert self.process.poll() is None, self._log.read_text()
        try:
            url = f"http://127.0.0.1:{self.port}/ready"
            return httpx.get(url, timeout=3, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()


class Service(Deployment):
    """The service's processes on one database; they are started as rows ask for them."""

    def __init__(
        self, folder: Path, database: str, url: str, payos: Environment, launch: Launch
    ) -> None:
        self.database = database
        super().__init__(
            folder,
            database_url=url,
            broker_url="memory://",
            simulator=payos,  # type: ignore[arg-type]
            launch=launch,
        )

    @property
    def pid(self) -> int:
        """Of the first API process."""
        return self.pid_of("api")

    def pid_of(self, role: str) -> int:
        """Find the process of a role."""
        return next(each.process.pid for each in self.roles if each.name == role)

    def end(self, name: str) -> None:
        """Stop a role, if it runs."""
        for role in [each for each in self.roles if each.name == name]:
            role.stop()
            self.roles.remove(role)


class Stage:
    """Servers, databases and processes. Whatever was started ends with it."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._servers: dict[type, Any] = {}
        self._urls: dict[str, str] = {}
        self._services: dict[str, Service] = {}
        self._peers: dict[tuple[str, str], Peer] = {}
        self._number = FIRST_NUMBER

    @property
    def mysql(self) -> DatabaseServer:
        """MySQL, or MariaDB where there is none.

        Raises:
            Unavailable: Neither can be had here.
        """
        try:
            return self._server(MySQLServer)
        except Unavailable:
            return self._server(MariaDBServer)

    @property
    def kafka(self) -> KafkaServer:
        """Kafka.

        Raises:
            Unavailable: It cannot be had here.
        """
        return self._server(KafkaServer)

    def _server(self, kind: type) -> Any:
        if kind not in self._servers:
            server = kind()
            self._stack.callback(server.close)
            try:
                server.start()
            except Unavailable as reason:
                self._servers[kind] = reason
            else:
                self._servers[kind] = server
        found = self._servers[kind]
        if isinstance(found, Unavailable):
            raise found
        return found

    def versions(self) -> dict[str, str]:
        """Name the servers that were started."""
        started = [each for each in self._servers.values() if not isinstance(each, Unavailable)]
        return {server.kind: server.version for server in started}

    async def database(self, name: str) -> str:
        """Make an empty database with the service's schema, once; both sides have the same."""
        if name not in self._urls:
            url = self.mysql.create_database(name)
            async with Database.open(url) as database:
                await migrate.upgrade(database)
            self._urls[name] = url
        return self._urls[name]

    def count(self, database: str, table: str, condition: str = "1 = 1") -> int:
        """Count rows."""
        ((found,),) = self.mysql.query(f"SELECT COUNT(*) FROM {database}.{table} WHERE {condition}")
        assert found is not None
        return int(found)

    @asynccontextmanager
    async def growing(
        self, databases: Iterable[str], tables: Iterable[str], *, by: int
    ) -> AsyncIterator[None]:
        """Check that the work of a block adds so many rows to each table of each side.

        Raises:
            WrongRows: It adds more or less somewhere.
        """
        places = [(database, table) for database in databases for table in tables]
        before = {place: self.count(*place) for place in places}
        yield
        wrong = [
            f"{'.'.join(place)} grew by {grown}"
            for place in places
            if (grown := self.count(*place) - before[place]) != by
        ]
        if wrong:
            raise WrongRows(f"{', '.join(wrong)}; {by} rows were asked for")

    def take(self, count: int) -> int:
        """Reserve numbers of payments that nobody else uses in this run; return the first."""
        first, self._number = self._number, self._number + count
        return first

    async def service(
        self,
        database: str,
        *roles: str,
        launch: Launch = from_source,
        environ: Mapping[str, str] = MappingProxyType({}),
    ) -> Service:
        """Get the service on a database, with some roles running on the processor for servers.

        All consumers are members of one group: there is only one at a time.

        Args:
            database: Its name; a service has one of its own.
            roles: What must run.
            launch: How, for the first call.
            environ: More settings, for the first call.
        """
        if database not in self._services:
            service = await self._new_service(database, database, launch)
            service.environ |= environ
            self._services[database] = service
        service = self._services[database]
        missing = [role for role in roles if role not in {each.name for each in service.roles}]
        if "consumer" in missing:
            for other in self._services.values():
                other.end("consumer")
        if {"relay", "consumer"} & set(missing):
            service.environ["PAYMENTS_BROKER_URL"] = await self._broker()
        with machine.born_on(machine.ALL):  # they start side by side
            started = service.start(*missing)
        for role in started:
            machine.move(role.process.pid, machine.SERVER)
        return service

    async def another(self, database: str) -> Service:
        """Start one more API on a database; it is the caller's to close."""
        service = await self._new_service(database, f"{database}-another")
        service.start("api")
        return service

    async def _new_service(
        self, database: str, folder_name: str, launch: Launch = from_source
    ) -> Service:
        folder = self._folder / folder_name
        folder.mkdir()
        service = Service(folder, database, await self.database(database), self.payos(), launch)
        self._stack.callback(service.close)
        return service

    async def _broker(self) -> str:
        url = self.kafka.url
        async with open_broker(url, client_id="bench") as broker:
            await broker.ensure_topics()
        return url

    async def peer(self, module: str, database: str = "", **environ: str) -> Peer:
        """Get a peer on a database; `wait_until_ready` or `settle` is the caller's to call."""
        key = (module, database)
        if key not in self._peers:
            settings = {**AUTH, **simulator.ENVIRONMENT, "AUTH_SECRET": AUTH_SECRET, **environ}
            if database:
                settings["DATABASE_URL"] = await self.database(database)
            self._peers[key] = Peer(module, database, settings, self._log(module))
            self._stack.callback(self._peers[key].stop)
        return self._peers[key]

    async def fastapi(self) -> Peer:
        """Get the FastAPI peer, which calls payOS, too."""
        return await self.peer("fastapi_app", "bench_fastapi", **self.payos().environment)

    def payos(self) -> Environment:
        """Start what stands in for payOS, beside the load; give the settings that lead to it."""
        key = ("payos", "")
        if key not in self._peers:
            environ, log = dict(simulator.ENVIRONMENT), self._log("payos")
            self._peers[key] = Peer("payos", "", environ, log, cpus=machine.NEIGHBOURS)
            self._stack.callback(self._peers[key].stop)
            self._peers[key].wait_until_ready()
        url = f"http://127.0.0.1:{self._peers[key].port}"
        return Environment({**simulator.ENVIRONMENT, "PAYOS_BASE_URL": url})

    def _log(self, module: str) -> Path:
        return self._folder / f"{module}-{time.time_ns()}.log"
