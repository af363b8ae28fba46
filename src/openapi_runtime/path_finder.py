"""Finds the operation of a request by table; what the table does not know, openapi-core decides."""

import re
from typing import Any

from openapi_core.templating.datatypes import TemplateResult
from openapi_core.templating.paths.datatypes import PathOperationServer
from openapi_core.templating.paths.finders import APICallPathFinder

_METHODS = ("get", "put", "post", "delete", "patch", "head", "options", "trace")
_TEMPLATE = re.compile(r"(\{[^}]+\})")
_LOCAL = "http://localhost"


class TablePathFinder(APICallPathFinder):
    """Plain paths by dictionary, templated ones by one expression each."""

    def __init__(self, spec: Any, base_url: str | None = None) -> None:
        super().__init__(spec, base_url)
        self._plain: dict[str, dict[str, PathOperationServer]] = {}
        self._templated: list[tuple[re.Pattern[str], list[str], str, Any, dict[str, Any]]] = []
        self._server = next(iter(spec / "servers"))
        for pattern, path in (spec / "paths").str_items():
            operations = {method: path / method for method in _METHODS if method in path}
            if "{" in pattern:
                pieces = _TEMPLATE.split(pattern)
                expression = "".join(
                    "([^/]+)" if piece.startswith("{") else re.escape(piece) for piece in pieces
                )
                names = [piece[1:-1] for piece in pieces if piece.startswith("{")]
                self._templated.append((re.compile(expression), names, pattern, path, operations))
            else:
                self._plain[pattern] = {
                    method: self._found(path, operation, pattern, {})
                    for method, operation in operations.items()
                }

    def _found(
        self, path: Any, operation: Any, pattern: str, variables: dict[str, str]
    ) -> PathOperationServer:
        return PathOperationServer(
            path, operation, self._server, TemplateResult(pattern, variables),
            TemplateResult("/", {}),
        )  # fmt: skip

    def find(self, method: str, name: str) -> PathOperationServer:
        """Find the operation of a method and a path (or of a whole URL)."""
        if not name.startswith("/"):
            return super().find(method, name)
        plain = self._plain.get(name, {}).get(method)
        if plain is not None:
            return plain
        for expression, names, pattern, path, operations in self._templated:
            match = expression.fullmatch(name)
            if match and method in operations:
                variables = dict(zip(names, match.groups(), strict=True))
                return self._found(path, operations[method], pattern, variables)
        return super().find(method, _LOCAL + name)
