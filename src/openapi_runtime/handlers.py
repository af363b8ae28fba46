"""Compares hand-written handlers with the generated Protocols, at the start of the process."""

import inspect
from typing import Any


def compare(implementation: Any, protocol: type) -> list[str]:
    """List every difference; empty when the implementation is what the Protocol asks for."""
    name = type(implementation).__name__
    wanted = _operations(protocol)
    differences = []
    for key, operation in wanted.items():
        given = getattr(implementation, key, None)
        if given is None:
            differences.append(f"{name} lacks {key}")
        elif not inspect.iscoroutinefunction(given):
            differences.append(f"{name}.{key} is not async")
        else:
            differences += _compare_arguments(f"{name}.{key}", operation, given)
    differences += [
        f"{name}.{key} is not in the contract"
        for key in _operations(type(implementation))
        if key not in wanted
    ]
    return differences


def _operations(kind: type) -> dict[str, Any]:
    """Collect public coroutine methods, inherited ones included."""
    return {
        name: value
        for owner in reversed(kind.__mro__)
        for name, value in vars(owner).items()
        if not name.startswith("_") and inspect.iscoroutinefunction(value)
    }


def _compare_arguments(name: str, wanted: Any, given: Any) -> list[str]:
    wanted_positional, wanted_keywords = _arguments(wanted)
    positional, keywords = _arguments(given)
    differences = []
    missing, unknown = wanted_keywords - keywords, keywords - wanted_keywords
    if missing:
        differences.append(f"{name} does not take {', '.join(sorted(missing))}")
    if unknown:
        differences.append(f"{name} takes {', '.join(sorted(unknown))}, not in the contract")
    if positional != wanted_positional - 1:  # the Protocol's function still counts self
        differences.append(f"{name} takes {positional} positional arguments")
    return differences


def _arguments(function: Any) -> tuple[int, set[str]]:
    parameters = inspect.signature(function).parameters.values()
    positional = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    keywords = {p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
    return sum(p.kind in positional for p in parameters), keywords
