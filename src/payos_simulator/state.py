"""Keeps the books in a file: read at the start, written whole and at once after changes."""

import asyncio
from pathlib import Path

import msgspec

from payos_simulator.config import Config
from payos_simulator.ledger import Books

SAVE_SECONDS = 0.3  # how much of the last moment a crash may lose


def load(config: Config) -> Books:
    """Read the books, or open new ones."""
    path = config.state_path
    if path is not None and path.is_file():
        books = msgspec.json.decode(path.read_bytes(), type=Books)
    else:
        books = Books(wallet=config.wallet)
    if books.webhook_url is None:
        books.webhook_url = config.webhook_url
    return books


class Keeper:
    """Writes the books when they have changed."""

    def __init__(self, path: Path | None, books: msgspec.Struct) -> None:
        self._path = path
        self._books = books
        self._changed = asyncio.Event()

    def note(self) -> None:
        """Note that something has changed."""
        self._changed.set()

    async def run(self) -> None:
        """Write after changes until cancelled, and once more then."""
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                self.save()
                await asyncio.sleep(SAVE_SECONDS)
        finally:
            self.save()

    def save(self) -> None:
        """Write the books to a new file that then takes the old one's place."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".new")
        draft.write_bytes(msgspec.json.encode(self._books))
        draft.replace(self._path)
