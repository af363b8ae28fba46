"""An order service that follows its payments.

run --bootstrap HOST:PORT --topic payments.events.v1 --group orders --state orders.db
report, gaps, set-aside --state orders.db
"""

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

from aiokafka import AIOKafkaConsumer

from .inbox import Inbox
from .store import Store, gaps, report

COMMIT_EVERY_MAX = 100  # messages; what a crash makes come again


async def run(bootstrap: str, topic: str, group: str, store: Store) -> None:
    """Follow a topic until we are told to stop.

    An offset is committed after its message was dealt with, never before: so nothing is lost, and
    what comes again after a crash is known by then.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    inbox = Inbox(store)
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=10_000,
        heartbeat_interval_ms=2_000,
    )
    async with consumer:
        while not stop.is_set():
            batches = await consumer.getmany(timeout_ms=500, max_records=COMMIT_EVERY_MAX)
            for partition, records in batches.items():
                for record in records:
                    place = f"{partition.topic}/{partition.partition}/{record.offset}"
                    inbox.take(place, record.value)
            if batches:
                await consumer.commit()


def main(arguments: list[str] | None = None) -> int:
    """Run a command."""
    parser = argparse.ArgumentParser(prog="order_service", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    follow = commands.add_parser("run")
    follow.add_argument("--bootstrap", required=True)
    follow.add_argument("--topic", default="payments.events.v1")
    follow.add_argument("--group", default="orders")
    for command in (follow, *(commands.add_parser(n) for n in ("report", "gaps", "set-aside"))):
        command.add_argument("--state", type=Path, default=Path("orders.db"))
    options = parser.parse_args(arguments)
    store = Store(options.state)
    try:
        if options.command == "run":
            asyncio.run(run(options.bootstrap, options.topic, options.group, store))
        elif options.command == "report":
            print(json.dumps(report(store), indent=1))
        elif options.command == "gaps":
            print(json.dumps(gaps(store), indent=1))
        else:
            rows = store.list("SELECT place, reason FROM set_aside ORDER BY place")
            print(json.dumps([dict(row) for row in rows], indent=1))
    finally:
        store.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
