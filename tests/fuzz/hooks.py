"""What schemathesis cannot know: keys are used once, payOS signs its webhooks, payers pay."""

import itertools
import os
from typing import Any

import httpx
import schemathesis

from payos_simulator import signatures

_KEY = os.environ["FUZZ_CHECKSUM_KEY"]
_SIMULATOR = os.environ["FUZZ_SIMULATOR"]
_KNOWN = {
    "payment_id": os.environ["FUZZ_PAID_PAYMENT"],
    "qr_token": os.environ["FUZZ_QR_TOKEN"],
    "exception_id": os.environ["FUZZ_EXCEPTION"],
}
_numbers = itertools.count(1)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Give valid requests a key of their own and, now and then, something that exists."""
    number = next(_numbers)
    if case.meta is not None and not case.meta.generation.mode.is_positive:
        return
    if case.headers and "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = f"fuzz-{number}"
    if case.path_parameters and number % 3 == 0:
        case.path_parameters.update({name: known for name, known in _KNOWN.items()
                                     if name in case.path_parameters})  # fmt: skip
    body = case.body
    if isinstance(body, dict) and "return_url" in body:
        # The contract says which addresses can be, the operator whose: most made-up ones may not.
        body |= dict.fromkeys(("return_url", "cancel_url"), "https://shop.example/fuzz")
    if case.operation.path == "/v1/webhooks/payos" and number % 2 and isinstance(body, dict):
        body["signature"] = signatures.of_data(body.get("data") or {}, _KEY)


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Pay every other payment, some twice: there is something to refund, and to decide about."""
    if case.operation.path != "/v1/payments" or response.status_code != 201:
        return
    number = next(_numbers)
    if number % 2:
        order, body = response.json()["provider_reference"], {"times": 1 + number % 4 // 3}
        httpx.post(f"{_SIMULATOR}/_admin/links/{order}/pay", json=body, trust_env=False)
