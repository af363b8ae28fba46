"""The composition root: turns settings into running processes, and builds all they share."""

import asyncio
import contextlib
import gc
import os
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from importlib.metadata import version
from typing import Any, cast
from urllib.parse import urlsplit

import uvicorn

from openapi_runtime.contract import Mode
from payment_service.api.answers import PaymentAnswers
from payment_service.api.app import OPERATIONS, Policy, create_app, http_guard
from payment_service.api.auth import TokenVerifier
from payment_service.api.keys import KeySet, reader_of
from payment_service.api.rates import RateLimits
from payment_service.console.app import Console
from payment_service.console.desk import Desk
from payment_service.console.gate import Gate
from payment_service.domain.clock import Clock, system_clock
from payment_service.domain.errors import InvalidSettings
from payment_service.domain.ids import new_id
from payment_service.domain.return_url import ReturnUrls
from payment_service.messaging.broker import Broker, Subscriber
from payment_service.messaging.connect import open_broker
from payment_service.messaging.topics import TOPICS
from payment_service.providers.monitor import Monitor
from payment_service.providers.provider import PaymentProvider
from payment_service.providers.registry import open_provider
from payment_service.settings import LOOPBACK, Settings
from payment_service.storage import invariants, migrate
from payment_service.storage.database import Database
from payment_service.storage.sealing import Keyring
from payment_service.telemetry import request_spans, tracing
from payment_service.telemetry.logging import get_logger
from payment_service.telemetry.metrics import Metrics
from payment_service.telemetry.witness import Witness
from payment_service.workers.consumer import Consumer
from payment_service.workers.observer import Observer
from payment_service.workers.ops_server import AsgiApp, NotReady, build_ops_app
from payment_service.workers.relay import Relay
from payment_service.workers.scheduler import Scheduler

log = get_logger(__name__)

VERSION = version("payment-service")
DRAIN_SECONDS = 20  # for requests and messages that are under way at the end


class Role(StrEnum):
    """What a process does."""

    API = "api"
    RELAY = "relay"
    CONSUMER = "consumer"
    SCHEDULER = "scheduler"


ALL_ROLES = frozenset(Role)


@dataclass(frozen=True, slots=True)
class Service:
    """The shared things of a process."""

    settings: Settings
    database: Database
    provider: PaymentProvider
    broker: Broker
    clock: Clock
    metrics: Metrics
    wake_relay: asyncio.Event
    subscriber: Subscriber
    keys: KeySet | None  # those of tokens; None where a secret is shared
    name: str  # unique among all processes

    def consumer(self) -> Consumer:
        """Build a consumer."""
        return Consumer(self.database, self.provider, self.clock, self.metrics)

    def relay(self) -> Relay:
        """Build a relay."""
        return Relay(
            self.database,
            self.broker.publisher,
            self.clock,
            self.metrics,
            owner=f"relay-{self.name}",
            wake=self.wake_relay,
        )

    def scheduler(self) -> Scheduler:
        """Build a scheduler; it answers for requests that died as the API would have."""
        answers = PaymentAnswers(self.settings.public_url, self.clock)
        return Scheduler(
            self.database,
            self.provider,
            self.clock,
            self.metrics,
            self.consumer(),
            render=answers.created,
            render_canceled=answers.canceled,
            render_error=lambda error: answers.refused(error, new_id("req", self.clock())),
            owner=f"scheduler-{self.name}",
        )

    def api(self) -> Any:
        """Build the API application."""
        auth = self.settings.auth
        app = create_app(
            database=self.database,
            provider=self.provider,
            clock=self.clock,
            metrics=self.metrics,
            verifier=TokenVerifier(
                keys=self.keys or auth.secret or "",
                issuer=auth.issuer,
                audience=auth.audience,
                lifetime_max=timedelta(hours=auth.lifetime_hours),
            ),
            policy=self._policy(),
            public_url=self.settings.public_url,
            version=VERSION,
            contract_mode=cast("Mode", self.settings.contract_mode),
            on_write=self.wake_relay.set,
        )
        return request_spans.trace_asgi(app)

    def observer(self) -> Observer:
        """Build an observer."""
        return Observer(self.database, self.clock, self.metrics)

    def _policy(self) -> Policy:
        doors = self.settings.doors
        per_minute = doors.requests_per_minute
        # Who serves this machine only is developing, and so are its merchants.
        is_local = urlsplit(self.settings.public_url).hostname in LOOPBACK
        return Policy(
            proxies=doors.trusted_proxies,
            webhook_sources=doors.webhook_sources,
            return_urls=ReturnUrls(doors.return_hosts, allow_loopback=is_local),
            rates=RateLimits(self.clock, per_minute=per_minute) if per_minute else None,
        )

    def ops(self, roles: frozenset[Role]) -> Any:
        """Build the operators' application: ready means that what the roles need answers."""
        checks: dict[str, Callable[[], Awaitable[None]]] = {
            "database": self.database.check,
            "schema": self._check_schema,
        }
        if roles & {Role.RELAY, Role.CONSUMER}:
            checks["broker"] = self.broker.check
        if Role.API in roles and self.keys is not None:
            checks["keys"] = self.keys.check
        app = build_ops_app(self.metrics.registry, checks)
        token = self.settings.ops_token
        return Console(app, Gate(token, system_clock), self._desk(roles)) if token else app

    def _desk(self, roles: frozenset[Role]) -> Desk:
        process = {"name": self.name, "version": VERSION, "roles": sorted(roles)}
        return Desk(self.database, self.clock, self.metrics.registry, process)

    async def _check_schema(self) -> None:
        pending = await migrate.pending_revisions(self.database)
        if pending:
            raise NotReady(f"run payment-service migrate: {len(pending)} migrations to go")


@asynccontextmanager
async def open_service(settings: Settings, clock: Clock = system_clock) -> AsyncIterator[Service]:
    """Open everything that a process shares.

    Raises:
        InvalidSettings: The provider's settings are wrong.
    """
    name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"[:40]
    metrics = Metrics(
        version=VERSION,
        operations=OPERATIONS,
        provider=settings.provider,
        topics=tuple(topic.name for topic in TOPICS),
        invariants=tuple(invariants.QUERIES),
    )

    # Before the engines: they are traced as they are made.
    tracing.configure("payment-service", version=VERSION, name=name)
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(
            open_provider(settings.provider, settings.environment, Monitor(metrics))
        )
        database = await stack.enter_async_context(
            Database.open(
                settings.database_url,
                keyring=_keyring(settings.data_keys),
                on_commit=Witness(metrics),
            )
        )
        metrics.watch_connections(database.connections)
        metrics.connections_max.set(database.connections_max)
        broker = await stack.enter_async_context(
            open_broker(settings.broker_url, client_id=f"payment-service-{name}")
        )
        subscriber = broker.subscriber()
        metrics.watch_lag(subscriber.lag)
        jwks_url = settings.auth.jwks_url
        yield Service(
            settings=settings,
            database=database,
            provider=provider,
            broker=broker,
            clock=clock,
            metrics=metrics,
            wake_relay=asyncio.Event(),
            subscriber=subscriber,
            keys=KeySet(reader_of(jwks_url), clock) if jwks_url else None,
            name=name,
        )


def _keyring(text: str) -> Keyring:
    try:
        return Keyring.parse(text)
    except ValueError as error:
        raise InvalidSettings([f"PAYMENTS_DATA_KEYS: {error}"]) from error


class _Server(uvicorn.Server):
    """A server that leaves signals to us: several run in one process."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket] | None) -> None:
        super().__init__(config)
        self._sockets = sockets

    async def run_until_exit(self) -> None:
        """Serve until `should_exit` is set."""
        await self.serve(self._sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(frozen=True, slots=True)
class Listener:
    """An ASGI application (or the name of its factory) and where it listens."""

    app: Any
    host: str
    port: int
    ready: socket.socket | None = None  # listens already, instead of host and port


def _server(listener: Listener, guard: type[asyncio.Protocol]) -> _Server:
    config = uvicorn.Config(
        listener.app,
        host=listener.host,
        port=listener.port,
        factory=isinstance(listener.app, str),
        http=guard,
        ws="none",
        lifespan="auto",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,  # who called is `api/sources.py`'s to find out
        date_header=True,
        reset_contextvars=True,  # a request must not log as the one before it on its connection
        timeout_graceful_shutdown=DRAIN_SECONDS,
        timeout_keep_alive=30,
        backlog=2048,
    )
    return _Server(config, None if listener.ready is None else [listener.ready])


@dataclass(frozen=True, slots=True)
class Workers:
    """The workers of a process, whether its roles let them run or not."""

    consumer: Consumer
    relay: Relay
    scheduler: Scheduler


async def run(
    service: Service,
    roles: frozenset[Role],
    *,
    beside: tuple[Listener, ...] = (),
    before_ops: Callable[[AsgiApp, Workers], AsgiApp] | None = None,
    api_socket: socket.socket | None = None,
) -> None:
    """Run some roles until SIGTERM or SIGINT, then drain them in order.

    First no more requests are taken and those under way are answered; then the workers finish what
    they hold; the operators' port goes last.

    Args:
        service: What they share.
        roles: Which to run.
        beside: Other applications to serve.
        before_ops: Puts something before the operators' port.
        api_socket: For the API, one that listens already: whoever holds it open lets processes come
            and go without refusing a connection.
    """
    settings = service.settings
    stop = _stop_on_signals()
    guard = http_guard(service.clock, service.metrics, settings.public_url)
    workers = Workers(service.consumer(), service.relay(), service.scheduler())
    ops_app = service.ops(roles)
    if before_ops is not None:
        ops_app = before_ops(ops_app, workers)
    ops = _server(Listener(ops_app, settings.ops_host, settings.ops_port), guard)
    fronts = [_server(listener, guard) for listener in beside]
    if Role.API in roles:
        api = Listener(service.api(), settings.host, settings.port, api_socket)
        fronts.append(_server(api, guard))
    serving = [asyncio.create_task(server.run_until_exit()) for server in [*fronts, ops]]
    working = [asyncio.create_task(work) for work in _work(service, workers, roles)]
    stopping = asyncio.create_task(stop.wait())
    spare_what_stays()
    log.info("process.started", roles=sorted(roles), version=VERSION)
    try:
        await asyncio.wait([stopping, *serving, *working], return_when=asyncio.FIRST_COMPLETED)
    finally:
        log.info("process.stopping")
        await _drain(fronts, serving[:-1], working, ops, serving[-1])
        stopping.cancel()
    for task in [*serving, *working]:
        if task.done() and not task.cancelled() and task.exception() is not None:
            raise cast("BaseException", task.exception())


def spare_what_stays() -> None:
    """Tell the garbage collector to look no more at what was built at the start.

    It stays as long as the process, and half a million objects of it were looked through anew with
    every full collection: a quarter of a webhook's time.
    """
    gc.collect()
    gc.freeze()


def _work(service: Service, workers: Workers, roles: frozenset[Role]) -> list[Any]:
    work: list[Any] = [service.observer().run()]
    if Role.CONSUMER in roles:
        work.append(workers.consumer.run(service.subscriber))
    if Role.SCHEDULER in roles:
        work.append(workers.scheduler.run())
    if Role.RELAY in roles:
        work.append(workers.relay.run())
    return work


async def _drain(
    fronts: list[_Server],
    serving: list[asyncio.Task[None]],
    working: list[asyncio.Task[None]],
    ops: _Server,
    ops_task: asyncio.Task[None],
) -> None:
    for server in fronts:
        server.should_exit = True
    await _finish(serving)
    for task in working:
        task.cancel()
    await _finish(working)
    ops.should_exit = True
    await _finish([ops_task])


async def _finish(tasks: list[asyncio.Task[None]]) -> None:
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=DRAIN_SECONDS)
    for task in late:
        task.cancel()
        log.warning("process.drain_timed_out")


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
