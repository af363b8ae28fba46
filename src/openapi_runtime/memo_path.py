"""A view of the contract that computes each step once.

openapi-core walks the contract anew for every request; a third of its time goes there. The
contract does not change while the process lives, so every answer may be kept.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jsonschema_path import SchemaPath

_MISSING = object()
_REMEMBERED_MAX = 512  # per node: openapi-core also looks up what clients send, media types for one


@dataclass(frozen=True, slots=True)
class _Absent:
    """What is not there, and what its KeyError says."""

    arguments: tuple[Any, ...]


class MemoPath(SchemaPath):
    """A SchemaPath whose children, values and containment answers are remembered."""

    @cached_property
    def _memo(self) -> dict[Any, Any]:
        return {}

    def _once(self, key: Any, compute: Callable[[], Any]) -> Any:
        value = self._memo.get(key, _MISSING)
        if value is _MISSING:
            value = compute()
            if len(self._memo) < _REMEMBERED_MAX:
                self._memo[key] = value
        return value

    def __truediv__(self, key: Any) -> Any:
        return self._once(("/", key), lambda: super(MemoPath, self).__truediv__(key))

    def _make_child_relpath(self, part: Any) -> Any:
        return self._once(("/", part), lambda: super(MemoPath, self)._make_child_relpath(part))

    def __getitem__(self, key: Any) -> Any:
        return self._once(("[", key), lambda: super(MemoPath, self).__getitem__(key))

    def get(self, key: Any, default: Any = None) -> Any:
        """Return a child's value; a missing one is not remembered, its default may differ."""
        try:
            return self[key]
        except KeyError:
            return default

    def __contains__(self, key: Any) -> bool:
        return bool(self._once(("in", key), lambda: super(MemoPath, self).__contains__(key)))

    def __iter__(self) -> Iterator[Any]:
        return iter(self._once("iter", lambda: tuple(super(MemoPath, self).__iter__())))

    def items(self) -> Iterator[Any]:
        """List the children and their keys."""
        return iter(self._once("items", lambda: tuple(super(MemoPath, self).items())))

    def __len__(self) -> int:
        return int(self._once("len", lambda: super(MemoPath, self).__len__()))

    def exists(self) -> bool:
        """Tell whether the path leads anywhere."""
        return bool(self._once("exists", lambda: super(MemoPath, self).exists()))

    def read_value(self) -> Any:
        """Read the value; a missing one is remembered as missing.

        Not by its exception: that would hold on to all that was at work when it was raised.
        """
        value = self._memo.get("value", _MISSING)
        if value is _MISSING:
            try:
                value = super().read_value()
            except KeyError as error:
                value = _Absent(error.args)
            self._memo["value"] = value
        if isinstance(value, _Absent):
            raise KeyError(*value.arguments)
        return value
