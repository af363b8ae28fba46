"""Ends clients that may not want to end."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def ends_within(seconds: float, work: Coroutine[Any, Any, object]) -> bool:
    """Run some work apart from us, for a bounded time; tell whether it ended well.

    Apart, because aiokafka cancels its own tasks when it is stopped, and sometimes lets that
    cancellation out: awaited directly, it would end whoever stops the client.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.wait([task], timeout=seconds)
    finally:
        task.cancel()
    return task.done() and not task.cancelled() and task.exception() is None
