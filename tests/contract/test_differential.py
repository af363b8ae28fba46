"""The compiled contract against stock openapi-core: on mutated traffic both must judge alike.

Ours may be stricter, or survive what makes stock crash; each such difference must be explained by a
rule that is checked on the input itself. This is also the gate for upgrades of openapi-core and
jsonschema-rs. A seed of one's own: DIFFERENTIAL_SEED=7; another amount: DIFFERENTIAL_CASES=200000.
"""

import json
import multiprocessing
import os
import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from jsonschema_path import SchemaPath
from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from starlette.datastructures import Headers as StarletteHeaders, QueryParams

from generated.api.routes import OPERATIONS
from openapi_runtime.exchange import Request, Response
from openapi_runtime.headers import Headers
from openapi_runtime.operations import Context, StoredResponse
from openapi_runtime.validation import Contract
from tests.contract import mutations
from tests.contract.stub_service import CONTRACT_FILE, DOCUMENT

CASES = int(os.environ.get("DIFFERENTIAL_CASES", "50000"))
SEED = int(os.environ.get("DIFFERENTIAL_SEED", "20261124"))
PROCESSES = 2
BY_ID = {operation.id: operation for operation in OPERATIONS}
Judge = Callable[..., Any]


@dataclass
class Outcome:
    """What a run saw."""

    verdicts: Counter[str] = field(default_factory=Counter)
    explained: Counter[str] = field(default_factory=Counter)
    unexplained: list[Any] = field(default_factory=list)

    def add(self, other: "Outcome") -> None:
        """Take over what another process saw."""
        self.verdicts += other.verdicts
        self.explained += other.explained
        self.unexplained += other.unexplained


def _loads(value: bytes, **_parameters: Any) -> Any:
    return json.loads(value)


def _stock(document: dict[str, Any]) -> OpenAPI:
    """Make the oracle: openapi-core as it comes, without a line of ours."""
    decoders = {"application/problem+json": _loads}
    config = Config(extra_media_type_deserializers=decoders)  # type: ignore[arg-type]
    return OpenAPI(SchemaPath.from_dict(document, resolved_cache_maxsize=8192), config)


def _verdict(judge: Judge, *subjects: Any) -> str:
    try:
        return "accepts" if next(iter(judge(*subjects)), None) is None else "refuses"
    except Exception as error:  # noqa: BLE001  # that it crashes is what is to be found out
        return f"crashes with {type(error).__name__}"


def _is_not_utf8(body: bytes) -> bool:
    """Tell what json.loads guesses an encoding for."""
    try:
        return "\x00" in body.decode()
    except UnicodeDecodeError:
        return True


def _to_the_very_end(node: Any) -> Any:
    """Copy the contract with patterns and dates that let no line feed follow: Python's `$` does."""
    if isinstance(node, list):
        return [_to_the_very_end(member) for member in node]
    if not isinstance(node, dict):
        return node
    copy = {key: _to_the_very_end(member) for key, member in node.items()}
    if isinstance(node.get("pattern"), str):
        copy["pattern"] = node["pattern"].removesuffix("$") + r"\Z"
    elif node.get("format") == "date-time":
        copy["pattern"] = r"^[^\n]*\Z"
    return copy


# Text that stock reads and no other reader must: what makes ours refuse it is in json_body.py.
LOOSE_TEXT: dict[str, Callable[[bytes], bool]] = {
    "a byte order mark": lambda body: body.startswith(b"\xef\xbb\xbf"),
    "not UTF-8": _is_not_utf8,
    "NaN": lambda body: b"NaN" in body,
    "a number beyond all readers": lambda body: b"1e400" in body,
    "a number that would become another": lambda body: b"45000.0000000000000001" in body,
    "a lone surrogate": lambda body: b"\\ud800" in body,
    "nested too deep": lambda body: b"[" * 40 in body,
}


class Comparison:
    """Both sides, fed with the same cases."""

    def __init__(self, seed: int) -> None:
        self.stock = _stock(DOCUMENT)
        self.exact = _stock(_to_the_very_end(DOCUMENT))
        self.contract = Contract.load(CONTRACT_FILE, "compiled")
        self.chance = random.Random(seed)
        self.mutator = mutations.Mutator(self.chance)
        self.outcome = Outcome()

    def _compare(
        self, ours: str, body: bytes, headers: dict[str, str], judge: Judge, case: Any
    ) -> None:
        """Note the verdicts; `judge` asks an openapi-core for its own."""
        stock = judge(self.stock)
        self.outcome.verdicts[f"{ours}, stock {stock.split()[0]}"] += 1
        if ours == stock:
            return
        rule = self._explain(ours, stock, body, headers, case[1], judge)
        if rule is None:
            self.outcome.unexplained.append((ours, stock, case))
        else:
            self.outcome.explained[f"{rule}: {ours}, stock {stock}"] += 1

    def _explain(
        self,
        ours: str,
        stock: str,
        body: bytes,
        headers: dict[str, str],
        address: str,
        judge: Judge,
    ) -> str | None:
        """Name the rule by which ours may differ; None is a failure of the test."""
        if stock.startswith("crashes"):
            if ours == "refuses":
                return "stock crashes"
            parameters = headers.get("content-type", "").partition(";")[2]
            is_odd = ";" in headers.get("content-type", "") and "=" not in parameters
            return "stock crashes on a media type's parameters" if is_odd else None
        if ours == "accepts":
            return None
        if judge(self.exact) == "refuses":
            return "a line feed that Python's $ lets through"
        if address.endswith("\n"):
            return "a line feed in an address, which urllib drops"
        return next((name for name, holds in LOOSE_TEXT.items() if holds(body)), None)

    def request(self) -> None:
        """Compare on one request."""
        [call] = self.chance.choices(mutations.CALLS, mutations.WEIGHTS)
        headers = self.mutator.headers(call.headers, mutations.ODD_REQUEST_HEADERS)
        query, path = self.chance.choice(call.queries), call.path
        body = b""
        if call.body is not None:
            body = self.mutator.text(self.mutator.document(call.body, call.schema))
        if self.chance.random() < 0.04 and "_" in path:
            head, _, _tail = path.rpartition("/")
            path = f"{head}/{self.chance.choice(mutations.ODD_IDS)}"
        ours = self.contract.request_errors(
            _our_request(call.operation, path, headers, query, body)
        )
        theirs = _stock_request(call.method, path, headers, query, body)
        self._compare(
            "refuses" if ours else "accepts",
            body,
            headers,
            lambda stock: _verdict(stock.request_validator.iter_errors, theirs),
            (call.operation, path, headers, query, body),
        )

    def response(self) -> None:
        """Compare on one response."""
        [reply] = self.chance.choices(mutations.REPLIES, mutations.REPLY_WEIGHTS)
        headers = self.mutator.headers(reply.headers, mutations.ODD_RESPONSE_HEADERS)
        body = b"\x89PNG"
        if reply.body is not None:
            body = self.mutator.text(self.mutator.document(reply.body, reply.schema))
        status = reply.status
        if self.chance.random() < 0.04:
            status = self.chance.choice(mutations.STATUSES)
        ours = self.contract.response_errors(
            _our_request(reply.operation, reply.path, {}, b"", b""),
            Response(StoredResponse(status, headers, body)),
        )
        request = _stock_request(reply.method, reply.path, {}, b"", b"")
        theirs = SimpleNamespace(
            status_code=status,
            headers=StarletteHeaders(headers),
            data=body,
            content_type=headers.get("content-type", ""),
        )
        self._compare(
            "refuses" if ours else "accepts",
            body,
            headers,
            lambda stock: _verdict(stock.response_validator.iter_errors, request, theirs),
            (reply.operation, reply.path, status, headers, body),
        )


def _stock_request(
    method: str, path: str, headers: dict[str, str], query: bytes, body: bytes
) -> Any:
    """Present a request the way openapi-core's own adapter for Starlette does."""
    return SimpleNamespace(
        host_url="http://localhost",
        path=path,
        method=method.lower(),
        body=body,
        content_type=headers.get("content-type") or "application/octet-stream",
        parameters=RequestParameters(
            query=QueryParams(query.decode()), header=StarletteHeaders(headers), cookie={}
        ),
    )


def _our_request(
    operation: str, path: str, headers: dict[str, str], query: bytes, body: bytes
) -> Request:
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    context = Context(
        operation=BY_ID[operation], request_id="r", headers=Headers(raw), client_host="",
        path_params={}, query_params=list(QueryParams(query.decode()).multi_items()),
    )  # fmt: skip
    request = Request(context, path, "")
    request.body = body
    return request


def _run(kind: str, seed: int, cases: int) -> Outcome:
    comparison = Comparison(seed)
    compare = getattr(comparison, kind)
    for _ in range(cases):
        compare()
    comparison.outcome.verdicts["by plan"] = comparison.contract.stats.fast
    comparison.outcome.verdicts["ours crashed"] = comparison.contract.stats.crashed
    return comparison.outcome


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["request", "response"])
def test_ours_and_stock_judge_mutated_traffic_alike(kind):
    outcome = Outcome()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=context) as pool:
        share = CASES // PROCESSES
        runs = [pool.submit(_run, kind, SEED + n, share) for n in range(PROCESSES)]
        for run in runs:
            outcome.add(run.result(timeout=550))

    print(f"\n{kind}s, seed {SEED}: {dict(outcome.verdicts)}")
    for rule, count in sorted(outcome.explained.items()):
        print(f"  {count:6} {rule}")
    assert outcome.unexplained == []
    assert outcome.verdicts["ours crashed"] == 0
    total = sum(count for verdict, count in outcome.verdicts.items() if ", stock" in verdict)
    assert total == share * PROCESSES
    # The traffic is worth comparing: a good part of it is accepted, and a good part refused.
    assert outcome.verdicts["accepts, stock accepts"] > total * 0.2
    assert outcome.verdicts["refuses, stock refuses"] > total * 0.2
    # Acceptance is the plans' work; openapi-core is asked for refusals only.
    accepted = (
        outcome.verdicts["accepts, stock accepts"] + outcome.verdicts["accepts, stock crashes"]
    )
    assert outcome.verdicts["by plan"] == accepted
