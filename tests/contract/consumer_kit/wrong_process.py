"""python -m tests.contract.consumer_kit.wrong_process NAME FOLDER [BOOTSTRAP TOPIC GROUP].

Runs a wrong consumer on Kafka, or prints its report. It commits its offsets in time: its faults
are its own.
"""

import asyncio
import json
import sys
from pathlib import Path

from aiokafka import AIOKafkaConsumer

from tests.contract.consumer_kit import consumers


async def main(name: str, folder: str, *where: str) -> None:
    """Follow a topic for ever, or report."""
    wrong: consumers.Wrong = getattr(consumers, name)(Path(folder))
    if not where:
        print(json.dumps(await wrong.report()))
        return
    bootstrap, topic, group = where
    reading = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False,
        auto_offset_reset="earliest",
    )  # fmt: skip
    async with reading:
        async for record in reading:
            await wrong.handle(record.key.decode(), record.value)
            await reading.commit()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
