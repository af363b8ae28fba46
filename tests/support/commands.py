"""The operators' commands, run in this process."""

import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from payment_service import cli
from payment_service.bootstrap import Service


class Commands:
    """Runs commands on a service; keeps what the last one printed."""

    def __init__(self, service: Service, capsys: pytest.CaptureFixture[str]) -> None:
        self._service = service
        self._capsys = capsys
        self.printed = ""

    async def __call__(self, *arguments: str) -> int:
        """Run a command; return its exit code."""
        self._capsys.readouterr()
        options = cli.parser().parse_args(arguments)
        with capture_logs():  # a command's log goes to standard error
            code = await options.run(self._service, options)
        self.printed = self._capsys.readouterr().out
        return int(code)

    async def json(self, *arguments: str) -> Any:
        """Run a command that answers in JSON, and read it."""
        await self(*arguments, "--json")
        return json.loads(self.printed)
