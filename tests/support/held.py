"""Hangs a call in the middle, as a process does that is frozen, or a network that is slow."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


class Held:
    """A call to the provider that hangs, the first time it is made."""

    def __init__(self, call: Callable[..., Awaitable[Any]], *, before: bool = False) -> None:
        self.answered, self.leave = asyncio.Event(), asyncio.Event()
        self._call = call
        self._before = before
        self._used = False

    async def __call__(self, *arguments: Any) -> Any:
        if self._used:
            return await self._call(*arguments)
        self._used = True
        if self._before:
            await self._hang()
            return await self._call(*arguments)
        try:
            return await self._call(*arguments)
        finally:
            await self._hang()

    async def _hang(self) -> None:
        self.answered.set()
        await self.leave.wait()
