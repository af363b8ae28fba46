"""Real servers on a machine without Docker: `python -m deploy.stack`.

Starts a database and Kafka, prints the two settings that point the service at them, and waits for
Ctrl-C; or runs a command with those settings and then stops. Needs Python's standard library only.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress

from deploy.stack.database import DatabaseServer
from deploy.stack.errors import StackError, StartFailed, Unavailable
from deploy.stack.kafka import KafkaServer
from deploy.stack.mariadb import MariaDBServer
from deploy.stack.mysql import MySQLServer
from deploy.stack.server import Server

WATCH_SECONDS = 1.0
COMMAND_STOP_SECONDS = 20.0
INTERRUPTED = 128 + signal.SIGINT
FAILED, USAGE = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, the code of `--exec`'s command, or 1 with the reason told."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.exec == []:
        parser.error("--exec needs a command")
    # Whoever runs us may stop us by SIGTERM, as make and CI do: the same orderly end as Ctrl-C,
    # which shells have their background jobs ignore.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        with ExitStack() as stack:
            servers = _start(options, stack)
            settings = _settings(servers)
            if options.exec:
                return _run(options.exec, settings)
            print("\n".join(f"export {name}='{value}'" for name, value in settings.items()))
            print("Stop with Ctrl-C.", flush=True)
            _watch(servers)
    except KeyboardInterrupt:
        _tell("Stopped; nothing is left behind.")
        return INTERRUPTED if options.exec else 0
    except StackError as error:
        _tell(f"error: {error}")
        return FAILED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.stack", description=__doc__)
    database = parser.add_mutually_exclusive_group()
    database.add_argument("--mysql", action="store_true", help="MySQL 8 and nothing else")
    database.add_argument("--mariadb", action="store_true", help="MariaDB and nothing else")
    parser.add_argument("--no-kafka", action="store_true", help="the database only")
    parser.add_argument(
        "--exec",
        nargs=argparse.REMAINDER,
        metavar="COMMAND",
        help="run this (all that follows) with the settings, stop, and exit with its code",
    )
    return parser


def _start(options: argparse.Namespace, stack: ExitStack) -> list[Server]:
    servers: list[Server] = [_start_database(options, stack)]
    if not options.no_kafka:
        servers.append(stack.enter_context(KafkaServer(progress=_tell)))
    return servers


def _start_database(options: argparse.Namespace, stack: ExitStack) -> DatabaseServer:
    if not options.mariadb:
        try:
            return stack.enter_context(MySQLServer(progress=_tell))
        except Unavailable as reason:
            if options.mysql:
                raise
            _tell(f"No MySQL here, MariaDB instead: {reason}")
    return stack.enter_context(MariaDBServer(progress=_tell))


def _settings(servers: Sequence[Server]) -> dict[str, str]:
    settings = {}
    for server in servers:
        if isinstance(server, DatabaseServer):
            settings["PAYMENTS_DATABASE_URL"] = server.url()
        if isinstance(server, KafkaServer):
            settings["PAYMENTS_BROKER_URL"] = server.url
    return settings


def _run(command: Sequence[str], settings: dict[str, str]) -> int:
    try:
        child = subprocess.Popen(command, env={**os.environ, **settings})
    except OSError as error:
        _tell(f"error: {command[0]} cannot be run: {error.strerror}")
        return USAGE
    with child:
        try:
            code = child.wait()
        except KeyboardInterrupt:
            # At a terminal it got the same Ctrl-C; a SIGTERM came to us alone.
            child.terminate()
            with suppress(subprocess.TimeoutExpired):
                child.wait(COMMAND_STOP_SECONDS)
            child.kill()
            raise
    return code if code >= 0 else 128 - code


def _watch(servers: Sequence[Server]) -> None:
    """Return never: a signal ends it, or a server that ended by itself."""
    while all(server.is_running for server in servers):
        time.sleep(WATCH_SECONDS)
    ended = [server.kind for server in servers if not server.is_running]
    raise StartFailed(f"{', '.join(ended)} ended by itself")


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
