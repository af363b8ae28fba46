"""What an application adds to the endpoints: names, limits, and its own errors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from openapi_runtime.operations import Context
from openapi_runtime.problems import Problem, ProblemType


def _unmapped(_error: Exception, _context: Context) -> Problem | None:
    return None


def _unheard_violation(_context: Context) -> None:
    return None


def _unheard_request(_context: Context) -> None:
    return None


def _unheard_miss(_request_id: str, _status: int) -> None:
    return None


def _unheard_response(_context: Context, _status: int, _seconds: float) -> None:
    return None


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """What the application adds.

    Attributes:
        problem_types: The contract's catalogue.
        problem_base: Where the codes are documented; a problem's `type` is this, # and the code.
        new_request_id: Names a request. It gets the X-Request-Id that was sent if that is 8 to 64
            letters, digits, dots, underscores and hyphens, else None.
        on_request: Called with every request to an operation, before anything is checked.
        on_miss: Called with request id and status when no operation answers a request.
        on_error: Maps an exception of a handler to a problem; None means an unexpected error.
        on_violation: Called when a response of ours broke the contract and was withheld.
        on_response: Called after every response with its status and the seconds it took.
        max_body_bytes: Larger request bodies are refused.
        in_progress_max: Requests of one operation that are with its handler at a time.
        reads_in_progress_max: The same of a GET, which waits for nobody but the database: a few
            more than there are connections for reading.
        in_line_max: More that wait for that, as many as there may be connections; who comes when
            the line is full is turned away at once.
        patience_seconds: How long they wait before they are turned away.
    """

    problem_types: Mapping[str, ProblemType]
    problem_base: str
    new_request_id: Callable[[str | None], str]
    on_request: Callable[[Context], None] = _unheard_request
    on_miss: Callable[[str, int], None] = _unheard_miss
    on_error: Callable[[Exception, Context], Problem | None] = _unmapped
    on_violation: Callable[[Context], None] = _unheard_violation
    on_response: Callable[[Context, int, float], None] = _unheard_response
    max_body_bytes: int = 64 * 1024
    in_progress_max: int = 256
    reads_in_progress_max: int = 20
    in_line_max: int = 4096
    patience_seconds: float = 2.0
