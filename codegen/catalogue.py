"""The catalogue of problems -> a table."""

from collections.abc import Iterator

from codegen.model import Contract


def generate(contract: Contract, *, header: str) -> str:
    """Write the module `problems`."""
    return "\n".join([header, *_lines(contract)]) + "\n"


def _lines(contract: Contract) -> Iterator[str]:
    yield '''"""The catalogue of problems: one entry per code."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from openapi_runtime.problems import ProblemType


class ErrorCode(StrEnum):
    """What went wrong, for programs."""
'''
    for code, entry in contract.error_codes.items():
        yield f"    {code} = {code!r}"
        yield f"    # {entry['status']}: {' '.join(entry['description'].split())}"
    yield "\n\nPROBLEM_TYPES: Final[Mapping[str, ProblemType]] = MappingProxyType({"
    for code, entry in contract.error_codes.items():
        fields = (code, entry["status"], entry["title"], entry["retryable"])
        yield f"    {code!r}: ProblemType({', '.join(map(repr, fields))}),"
    yield "})"
