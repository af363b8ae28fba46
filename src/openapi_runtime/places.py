"""Places with a handler, and the line for them: who came first goes first, nobody waits for ever.

asyncio has a semaphore and a timeout for this. With both each who waits has a timer of his own,
which takes three to four times as long; here all wait equally long, so one timer is enough, for
whoever waits longest. In a crowd that is what every request pays (docs/decisions/0020).
"""

import asyncio
from collections import deque


class Places:
    """A number of places. Whoever takes one gives it back; in between it is nobody else's.

    Args:
        count: How many there are.
        line_max: How many may wait for one.
        patience_seconds: How long they wait.
    """

    def __init__(self, count: int, *, line_max: int, patience_seconds: float) -> None:
        self._free = count  # none, while anybody waits
        self._line_max = line_max
        self._patience_seconds = patience_seconds
        self._line: deque[tuple[float, asyncio.Future[bool]]] = deque()  # with when each must go
        self._timer: asyncio.TimerHandle | None = None  # for whoever must go first

    async def take(self) -> bool:
        """Take a place, or wait for one; tell whether there was one in time."""
        if self._free:
            self._free -= 1
            return True
        if len(self._line) >= self._line_max:
            return False
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[bool] = loop.create_future()
        self._line.append((loop.time() + self._patience_seconds, turn))
        if self._timer is None:
            self._timer = loop.call_later(self._patience_seconds, self._send_away)
        try:
            return await turn
        except asyncio.CancelledError:
            if not turn.cancelled() and turn.result():  # it came just before we left
                self.give_back()
            raise

    def give_back(self) -> None:
        """Give a place back: to whoever is first in line, if anybody is."""
        while self._line:
            _, turn = self._line.popleft()
            if not turn.done():  # else that one has left
                turn.set_result(True)
                return
        self._free += 1

    def _send_away(self) -> None:
        """Send those away whose time is up, and come again for the next."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._line and self._line[0][0] <= now:
            _, turn = self._line.popleft()
            if not turn.done():
                turn.set_result(False)
        self._timer = loop.call_at(self._line[0][0], self._send_away) if self._line else None
