"""What clients send does not pile up in memory, nor does what is no longer used."""

import gc
import weakref

from generated.api.routes import OPERATIONS
from openapi_runtime.exchange import Request
from openapi_runtime.headers import Headers
from openapi_runtime.operations import Context
from openapi_runtime.validation import Contract
from tests.contract.stub_service import CONTRACT_FILE

HOOKS = "/v1/webhooks/payos"


def test_media_types_of_clients_are_not_remembered_for_ever():
    """openapi-core looks them up in the contract, and a view of it remembers what was looked up."""
    contract = Contract.load(CONTRACT_FILE, "compiled")
    operation = next(op for op in OPERATIONS if op.id == "receivePayosWebhook")
    for number in range(3000):
        context = Context(
            operation=operation, request_id="r", headers=Headers([]), client_host="",
            path_params={}, query_params=[],
        )  # fmt: skip
        request = Request(context, HOOKS, "")
        request.body, request.content_type = b"{}", f"application/x-{number}"
        assert contract.request_errors(request)

    content = contract._openapi.spec / "paths" / HOOKS / "post" / "requestBody" / "content"
    assert 0 < len(content._memo) < 1000


def test_a_contract_that_is_no_longer_used_is_forgotten():
    """What it does not find it once remembered by an exception, and so by all that was at work."""
    contract = weakref.ref(Contract.load(CONTRACT_FILE, "compiled"))
    gc.collect()

    assert contract() is None
