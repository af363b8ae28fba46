"""The contract at run time: judges every request and every response, through openapi-core.

Modes: `compiled` (plans; what production runs), `lean` (openapi-core's control flow, quickened) and
`stock` (openapi-core as it comes; the reference of the differential test).
"""

from pathlib import Path
from typing import Any, Literal

import msgspec
from jsonschema_path import SchemaPath
from openapi_core import Config, OpenAPI

from openapi_runtime import json_body
from openapi_runtime.factories import (
    KeptCastersFactory,
    KeptMediaTypeDeserializersFactory,
    KeptStyleDeserializersFactory,
)
from openapi_runtime.json_schema import RustSchemaValidatorsFactory
from openapi_runtime.memo_path import MemoPath
from openapi_runtime.path_finder import TablePathFinder
from openapi_runtime.problems import MEDIA_TYPE as PROBLEM_JSON
from openapi_runtime.validators import (
    CompiledRequestValidator,
    CompiledResponseValidator,
    Decisions,
    LeanRequestValidator,
    LeanResponseValidator,
)

Mode = Literal["compiled", "lean", "stock"]
_CACHED_PATHS = 8192
_SUCCESS_MAX = 400


class UnplannedOperation(Exception):
    """An operation that cannot be compiled: it would be slow for ever, and nobody would know."""


class Contract:
    """A loaded contract.

    Attributes:
        decisions: How often plans accepted, and how often openapi-core decided.
    """

    def __init__(self, document: dict[str, Any], mode: Mode = "compiled") -> None:
        self.mode = mode
        self.decisions = Decisions()
        self._openapi = _open(document, mode, self.decisions)
        self.request_errors = self._openapi.request_validator.iter_errors
        self.response_errors = self._openapi.response_validator.iter_errors
        if mode == "compiled":
            self._compile_all(document)

    @classmethod
    def load(cls, path: Path, mode: Mode = "compiled") -> "Contract":
        """Read a contract from its JSON file.

        Raises:
            UnplannedOperation: An operation cannot be compiled.
        """
        return cls(msgspec.json.decode(path.read_bytes()), mode)

    def _compile_all(self, document: dict[str, Any]) -> None:
        requests: Any = self._openapi.request_validator
        responses: Any = self._openapi.response_validator
        for name in document["paths"]:
            path = self._openapi.spec / "paths" / name
            for method in ("get", "put", "post", "delete", "patch", "head", "options"):
                if method not in path:
                    continue
                operation = path / method
                statuses = [
                    int(status) if status.isdigit() else _SUCCESS_MAX
                    for status in (operation / "responses").str_keys()
                ]
                planned = [requests.plan_of(path, operation)]
                planned += [responses.plan_of(operation, status) for status in statuses]
                if None in planned:
                    raise UnplannedOperation(f"{method.upper()} {name}")


def _open(document: dict[str, Any], mode: Mode, decisions: Decisions) -> OpenAPI:
    problem_json = {PROBLEM_JSON: json_body.loads}
    if mode == "stock":
        spec = SchemaPath.from_dict(document)  # type: ignore[arg-type]  # any mapping will do
        return OpenAPI(spec, Config(extra_media_type_deserializers=problem_json))
    schemas = RustSchemaValidatorsFactory()
    casters = KeptCastersFactory(schemas)
    styles = KeptStyleDeserializersFactory(casters)
    requests: type[Any] = LeanRequestValidator
    responses: type[Any] = LeanResponseValidator
    if mode == "compiled":
        # openapi-core makes the validators itself, so what they share is on their classes.
        shared = {"decisions": decisions, "kept": {}}
        requests = type("RequestValidator", (CompiledRequestValidator,), dict(shared))
        responses = type("ResponseValidator", (CompiledResponseValidator,), shared | {"kept": {}})
    config = Config(
        schema_validators_factory=schemas,
        schema_casters_factory=casters,
        style_deserializers_factory=styles,
        media_type_deserializers_factory=KeptMediaTypeDeserializersFactory(styles),
        path_finder_cls=TablePathFinder,
        extra_media_type_deserializers=problem_json | {"application/json": json_body.loads},
        request_validator_cls=requests,
        response_validator_cls=responses,
    )
    spec = MemoPath.from_dict(document, resolved_cache_maxsize=_CACHED_PATHS)  # type: ignore[arg-type]
    return OpenAPI(spec, config)
