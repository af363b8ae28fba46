"""python -m tests.contract.versions: record what is published today, for the corpus of events.

Run it once when a version of events is added. It writes a stream per story, byte for byte, below
the version that is published, and leaves alone what is there: the corpus only grows.
"""

import asyncio
import json
import tempfile
from pathlib import Path

from payment_service.messaging import topics
from payment_service.telemetry import logging
from tests.contract.versions.stories import STORIES, Story
from tests.support.odd_money import OddMoney
from tests.support.service import environment, running_service
from tests.support.simulator import Simulator, running_simulator

CORPUS = Path(__file__).parents[2] / "fixtures" / "events"


async def record(simulator: Simulator, story: Story) -> list[bytes]:
    """Let a story happen, and take down what is published of it."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite+aiosqlite:///{folder}/payments.db"
        async with running_service(environment(url, simulator.environment)) as service:
            await story(OddMoney(service, simulator))
            await service.settle()
            messages = service.published.published
            return [message.value for message in messages if message.topic == topics.EVENTS]


def main() -> None:
    """Record all stories."""
    logging.configure("WARNING")
    with running_simulator() as simulator:
        simulator.modes(payout_seconds=0, auto_payouts=True)
        for name, story in STORIES.items():
            values = asyncio.run(record(simulator, story))
            version = json.loads(values[0])["data"]["event_version"]
            path = CORPUS / f"v{version}" / f"{name}.jsonl"
            if path.exists():
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"".join(value + b"\n" for value in values))
            print(f"wrote {path.relative_to(CORPUS.parents[2])}")


if __name__ == "__main__":
    main()
