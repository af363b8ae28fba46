"""A consumer to kill: prints the value of each message it has handled, one a line.

Run as `python consumer_process.py URL TOPIC`; the group is `group`.
"""

import asyncio
import sys

from payment_service.messaging.broker import Message
from payment_service.messaging.kafka import open_kafka


async def show(message: Message) -> None:
    sys.stdout.write(f"{message.key} {message.value.decode()}\n")
    sys.stdout.flush()


async def main(url: str, topic: str) -> None:
    async with open_kafka(url, client_id="to-be-killed") as broker:
        await broker.subscriber().run([topic], "group", show)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
