"""What can go wrong on the way to a running server, one class per thing someone does differently.

StackError
├── Unavailable       not to be had on this machine now: tests skip, the command line says why
├── ChecksumMismatch  a download differs from its pin: never skipped, somebody must look
├── CommandFailed     a tool we called failed or took too long: its output is in the message
├── StartFailed       the server did not come up or went away: the end of its log is in the message
└── QueryFailed       the database refused a statement
"""


class StackError(Exception):
    """Everything that this package raises on purpose."""


class Unavailable(StackError):
    """The server cannot be had here; the message says what to do about it."""


class ChecksumMismatch(StackError):
    """A file differs from its line in `artifacts.sha256`."""


class CommandFailed(StackError):
    """A command exited with an error, or did not end in time."""


class StartFailed(StackError):
    """A server did not become ready, or is not running when it should be."""


class QueryFailed(StackError):
    """The database answered a statement with an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"error {code}: {message}")
        self.code = code
