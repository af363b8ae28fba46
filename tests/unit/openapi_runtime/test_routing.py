"""The start refuses an application that is not what the contract asks for."""

import msgspec
import pytest

from generated.api import routes
from generated.api.problems import PROBLEM_TYPES
from openapi_runtime.problems import ProblemType
from openapi_runtime.routing import HandlersMismatch
from openapi_runtime.validation import Contract, UnplannedOperation
from tests.contract.stub_service import (
    DOCUMENT,
    Exceptions,
    Payments,
    Refunds,
    Security,
    Stub,
    System,
    Webhooks,
    load_contract,
    make_hooks,
)


def _build(**changes):
    stub = Stub()
    parts = {
        "security": Security(),
        "payments": Payments(stub),
        "refunds": Refunds(stub),
        "exceptions": Exceptions(stub),
        "webhooks": Webhooks(stub),
        "system": System(stub),
        "hooks": make_hooks(),
    }
    return routes.build_routes(load_contract("compiled"), **(parts | changes))


def test_there_is_one_route_for_each_path_and_plain_ones_come_first():
    paths = [route.path for route in _build()]

    assert sorted(paths) == sorted(DOCUMENT["paths"])
    first_templated = next(n for n, path in enumerate(paths) if "{" in path)
    assert all("{" in path for path in paths[first_templated:])


def test_every_difference_is_told_at_once():
    class Odd:
        async def get_refund(self, context, /, *, payment_id, refund_number): ...

        def list_refunds(self, context, /, *, payment_id, limit, cursor): ...

        async def surprise(self, context, /): ...

    class Deaf(System):
        async def get_health(self): ...

    with pytest.raises(HandlersMismatch) as refusal:
        _build(refunds=Odd(), system=Deaf(Stub()), security=object())

    assert str(refusal.value).split("; ") == [
        "object lacks bearer_auth",
        "Odd lacks create_refund",
        "Odd.get_refund does not take refund_id",
        "Odd.get_refund takes refund_number, not in the contract",
        "Odd.list_refunds is not async",
        "Odd.surprise is not in the contract",
        "Deaf.get_health takes 0 positional arguments",
    ]


def test_inherited_operations_count():
    class Child(Payments):
        pass

    assert _build(payments=Child(Stub()))


def test_a_catalogue_without_a_code_that_is_needed_is_refused():
    catalogue = {code: kind for code, kind in PROBLEM_TYPES.items() if code != "NOT_FOUND"}

    with pytest.raises(HandlersMismatch, match="lacks NOT_FOUND"):
        _build(hooks=make_hooks(problem_types=catalogue))


def test_a_last_resort_that_breaks_the_contract_is_refused():
    broken = ProblemType("INTERNAL_ERROR", 500, "", retryable=True)  # the contract wants a title

    with pytest.raises(HandlersMismatch, match="does not allow INTERNAL_ERROR"):
        _build(hooks=make_hooks(problem_types=PROBLEM_TYPES | {"INTERNAL_ERROR": broken}))


def test_a_contract_that_cannot_be_compiled_is_refused_with_its_operation():
    document = msgspec.json.decode(msgspec.json.encode(DOCUMENT))
    document["components"]["parameters"]["Limit"]["allowReserved"] = True

    with pytest.raises(UnplannedOperation, match=r"GET /v1/payments: an unusual keyword at limit"):
        Contract(document)


def test_the_contract_is_loaded_from_a_file_or_from_text_and_knows_its_source():
    contract = Contract.load(msgspec.json.encode(DOCUMENT), "lean")

    assert contract.digest == DOCUMENT["x-source-sha256"]
    assert len(contract.digest) == 64
