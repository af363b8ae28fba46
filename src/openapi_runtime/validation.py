"""The contract at run time: judges every request and every response, through openapi-core.

Modes: `compiled` (plans; what production runs), `lean` (openapi-core's control flow, quickened) and
`stock` (openapi-core as it comes; what the differential test compares with).
"""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from jsonschema_path import SchemaPath
from openapi_core import Config, OpenAPI

from openapi_runtime import json_body, plans
from openapi_runtime.compiled import CompiledRequestValidator, CompiledResponseValidator, Stats
from openapi_runtime.factories import (
    KeptCastersFactory,
    KeptMediaTypeDeserializersFactory,
    KeptStyleDeserializersFactory,
)
from openapi_runtime.json_schema import RustSchemaValidatorsFactory
from openapi_runtime.lean import LeanRequestValidator, LeanResponseValidator
from openapi_runtime.memo_path import MemoPath
from openapi_runtime.path_finder import TablePathFinder
from openapi_runtime.problems import MEDIA_TYPE as PROBLEM_JSON

log = logging.getLogger(__name__)
Mode = Literal["compiled", "lean", "stock"]
Judge = Callable[..., Iterator[Exception]]
_METHODS = ("get", "put", "post", "delete", "patch", "head", "options", "trace")
_CACHED_PATHS = 8192
_UNDOCUMENTED = 599  # stands for every status that only `default` describes


class UnplannedOperation(Exception):
    """An operation that cannot be compiled: it would be slow for ever, and nobody would know."""


class Undecided(Exception):
    """openapi-core gave no verdict but crashed; what it crashed on is refused."""


class Contract:
    """A loaded contract.

    Attributes:
        mode: See the module.
        stats: How it decided so far.
        digest: SHA-256 of the openapi.yaml it comes from.
        member_names: Every member that the contract names; the names of others are the client's.
        host_url: What requests carry as their host in this mode.
    """

    def __init__(self, document: dict[str, Any], mode: Mode = "compiled") -> None:
        self.mode = mode
        self.stats = Stats()
        self.digest = str(document.get("x-source-sha256", ""))
        self.member_names = frozenset(_member_names(document))
        self.host_url = "http://localhost" if mode == "stock" else ""
        self._openapi = _open(document, mode, self.stats)
        if mode == "compiled":
            self._compile_all(document)

    @classmethod
    def load(cls, source: Path | bytes, mode: Mode = "compiled") -> "Contract":
        """Read a contract from its JSON file or text.

        Raises:
            UnplannedOperation: An operation cannot be compiled.
        """
        text = source if isinstance(source, bytes) else source.read_bytes()
        return cls(json_body.load_trusted(text), mode)

    def request_errors(self, request: Any) -> list[Exception]:
        """List what is wrong with a request; empty when it satisfies the contract."""
        return self._judge(self._openapi.request_validator.iter_errors, request)

    def response_errors(self, request: Any, response: Any) -> list[Exception]:
        """List what is wrong with a response; empty when it satisfies the contract."""
        return self._judge(self._openapi.response_validator.iter_errors, request, response)

    def _judge(self, judge: Judge, *subjects: Any) -> list[Exception]:
        fast = self.stats.fast
        try:
            errors = list(judge(*subjects))
        except Exception as error:  # noqa: BLE001  # hostile input makes openapi-core crash
            self.stats.crashed += 1
            log.warning("contract.undecided", extra={"error": type(error).__name__})
            errors = [Undecided(type(error).__name__)]
        if self.stats.fast == fast:
            self.stats.slow += 1
        return errors

    def _compile_all(self, document: dict[str, Any]) -> None:
        requests: Any = self._openapi.request_validator
        responses: Any = self._openapi.response_validator
        for name in document["paths"]:
            path = self._openapi.spec / "paths" / name
            for method in _METHODS:
                if method not in path:
                    continue
                operation = path / method
                try:
                    requests.plan_of(path, operation)
                    for status in (operation / "responses").str_keys():
                        number = int(status) if status.isdigit() else _UNDOCUMENTED
                        responses.plan_of(operation, number)
                except plans.NotPlannable as error:
                    raise UnplannedOperation(f"{method.upper()} {name}: {error}") from error


def _member_names(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for value in node:
            yield from _member_names(value)
    elif isinstance(node, dict):
        properties = node.get("properties")
        if isinstance(properties, dict):
            yield from properties
        for value in node.values():
            yield from _member_names(value)


def _open(document: dict[str, Any], mode: Mode, stats: Stats) -> OpenAPI:
    decode: dict[str, Callable[[bytes], Any]] = {PROBLEM_JSON: _decode}
    if mode == "stock":
        spec = SchemaPath.from_dict(document)
        return OpenAPI(spec, Config(extra_media_type_deserializers=decode))
    decode["application/json"] = _decode
    schemas = RustSchemaValidatorsFactory()
    casters = KeptCastersFactory(schemas)
    styles = KeptStyleDeserializersFactory(casters)
    requests: type[Any] = LeanRequestValidator
    responses: type[Any] = LeanResponseValidator
    if mode == "compiled":
        # openapi-core makes the validators itself, so what they share is on their classes.
        requests = type("Requests", (CompiledRequestValidator,), {"stats": stats, "kept": {}})
        responses = type("Responses", (CompiledResponseValidator,), {"stats": stats, "kept": {}})
    config = Config(
        schema_validators_factory=schemas,
        schema_casters_factory=casters,
        style_deserializers_factory=styles,
        media_type_deserializers_factory=KeptMediaTypeDeserializersFactory(styles),
        path_finder_cls=TablePathFinder,
        extra_media_type_deserializers=decode,
        request_validator_cls=requests,
        response_validator_cls=responses,
    )
    return OpenAPI(MemoPath.from_dict(document, resolved_cache_maxsize=_CACHED_PATHS), config)


def _decode(value: bytes, **_parameters: Any) -> Any:
    """Decode for openapi-core, which also passes the parameters of the media type."""
    return json_body.loads(value)
