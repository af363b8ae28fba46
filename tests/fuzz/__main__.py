"""make fuzz: schemathesis against a fresh service, every check, stateful by links, repeatable.

Two tenants: what one made, the other must not be able to read. Fails on any finding, and when a
documented status of an operation was never seen. FUZZ_EXAMPLES is the number of examples for each
operation (30).
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import httpx
import yaml
from stripe import WebhookSignature

from generated.api.routes import OPERATIONS
from tests.support.process import Development, development, wait_until

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "30"))
SECONDS_MAX = max(3600, 20 * EXAMPLES)
ROOT = Path(__file__).parents[2]
CHECKSUM_KEY = "dev-checksum-key"
STRIPE_SECRET = "whsec_fuzz"
Seen = dict[str, set[str]]


def config(running: Development, folder: Path) -> Path:
    """Write schemathesis's settings."""
    path = folder / "schemathesis.toml"
    tenants = {"shop": running.token, "stranger": running.strange_token()}
    auth = [
        {
            "name": name,
            "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {token}"}],
        }
        for name, token in tenants.items()
    ]
    (folder / "tenants.json").write_text(json.dumps({"auth": auth}))
    path.write_text(f"""
hooks = "tests.fuzz.hooks"

[generation]
deterministic = true
database = "none"
max-examples = {EXAMPLES}

[cache]
enabled = false

[auth.wfc]
path = "{folder}/tenants.json"
peers = ["shop", "stranger"]

[checks]
# A key that comes back with another body is refused as the IETF draft says: with 422.
positive_data_acceptance.expected-statuses = ["2xx", 401, 403, 404, 409, 422]

# Cursors are opaque: any text is one to the schema, only ours are one to the service.
[[operations]]
include-operation-id = ["listPayments", "listRefunds", "listExceptions"]
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 401, 403, 404, 422]

# Whoever sends so many webhooks that nobody signed is held off.
[[operations]]
include-operation-id = ["receivePayosWebhook", "receiveStripeWebhook"]
checks.positive_data_acceptance.expected-statuses = ["2xx", 401, 403, 404, 409, 422, 429]

[reports.ndjson]
path = "{folder}/report.ndjson"
""")
    return path


def payable_payment(running: Development, reference: str) -> dict[str, Any]:
    """Make a payment that waits for its payer, with a QR code to scan; return it."""
    payment: dict[str, Any] = running.call("POST", "/v1/payments", {
        "amount": 1_000_000, "currency": "VND", "order_reference": reference,
        "return_url": "https://shop.example/t", "cancel_url": "https://shop.example/c",
    }).json()  # fmt: skip
    return payment


def paid_payment(running: Development, reference: str = "fuzz-paid") -> str:
    """Make a payment that is paid; return its id."""
    payment = payable_payment(running, reference)
    path = f"/v1/payments/{payment['payment_id']}"
    httpx.post(f"{payment['checkout_url']}/pay", trust_env=False)
    wait_until(lambda: running.call("GET", path).json()["status"] == "paid", what="paid")
    return str(payment["payment_id"])


def open_exception(running: Development, reference: str) -> str:
    """Make a payment that is paid twice; return the id of its exception."""
    payment_id = paid_payment(running, reference)
    payment = running.call("GET", f"/v1/payments/{payment_id}").json()
    order = payment["provider_reference"]
    httpx.post(f"{running.simulator_url}/_admin/links/{order}/pay", json={}, trust_env=False)
    path = f"/v1/exceptions?payment_id={payment_id}"
    (found,) = wait_until(lambda: running.call("GET", path).json()["data"], what="an exception")
    return str(found["exception_id"])


def run(running: Development, folder: Path, paid: str) -> int:
    """Run schemathesis; return its exit code."""
    command = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(config(running, folder)),
        "run", str(ROOT / "openapi.yaml"), "--url", running.url,
        "--phases", "examples,coverage,fuzzing,stateful", "--workers", "1",
    ]  # fmt: skip
    environ = {
        **os.environ,
        "FUZZ_CHECKSUM_KEY": CHECKSUM_KEY,
        "FUZZ_SIMULATOR": running.simulator_url,
        "FUZZ_PAID_PAYMENT": paid,
        "FUZZ_QR_TOKEN": payable_payment(running, "fuzz-payable")["qr_token"],
        "FUZZ_EXCEPTION": open_exception(running, "fuzz-exception"),
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(command, cwd=ROOT, env=environ, check=False, timeout=SECONDS_MAX)
    return done.returncode


def provoke(running: Development, paid: str) -> Seen:
    """Send what a generator does not: too much, the wrong type, without a right, too late."""
    seen: Seen = defaultdict(set)
    weak = running.weak_token()
    exception = open_exception(running, "fuzz-provoked")
    token = payable_payment(running, "fuzz-shown")["qr_token"]
    for operation in OPERATIONS:
        path = operation.path.format(payment_id=paid, refund_id="ref_" + "0" * 26, qr_token=token,
                                     exception_id=exception)  # fmt: skip
        call = {"headers": {"Idempotency-Key": f"provoke-{operation.id}"}, "trust_env": False}
        tries = [({"Authorization": f"Bearer {weak}"}, b"{}", "application/json")]
        if operation.body is not None:
            strong = {"Authorization": f"Bearer {running.token}"}
            tries += [(strong, b" " * 70_000, "application/json"), (strong, b"x", "text/plain")]
            tries += [(strong, b'{"reason": "paid already"}', "application/json")]
            tries += [(strong, b'{"action": "keep", "reason": "enough"}', "application/json")]
        for credentials, body, media_type in tries:
            headers = call["headers"] | credentials | {"Content-Type": media_type}
            response = httpx.request(
                operation.method, running.url + path, headers=headers, content=body,
                trust_env=False,
            )  # fmt: skip
            seen[operation.id].add(str(response.status_code))
    return seen


def tell_as_stripe(folder: Path) -> Seen:
    """Send a service on Stripe what Stripe would send, and what somebody else would."""
    path = "/v1/webhooks/stripe"
    examples = yaml.safe_load((ROOT / "openapi.yaml").read_text())["paths"][path]["post"]
    event = examples["requestBody"]["content"]["application/json"]["examples"]["charge"]["value"]
    body = json.dumps(event)
    signature = WebhookSignature.generate_signature_header(body, STRIPE_SECRET)
    settings = {"PAYMENTS_PROVIDER": "stripe", "STRIPE_WEBHOOK_SECRET": STRIPE_SECRET}
    seen: Seen = defaultdict(set)
    with development(folder, settings) as running:
        for given in (signature, "t=1,v1=0"):
            headers = {"Stripe-Signature": given, "Content-Type": "application/json"}
            response = httpx.post(running.url + path, content=body, headers=headers,
                                  trust_env=False)  # fmt: skip
            seen["receiveStripeWebhook"].add(str(response.status_code))
    return seen


def statuses_seen(folder: Path) -> Seen:
    """Read from the report which statuses each operation answered with."""
    names = {(operation.method, operation.path): operation.id for operation in OPERATIONS}
    seen: Seen = defaultdict(set)
    for line in (folder / "report.ndjson").read_text().splitlines():
        event = json.loads(line).get("ScenarioFinished", {})
        recorder = event.get("recorder", {})
        for case_id, interaction in recorder.get("interactions", {}).items():
            case = recorder["cases"][case_id]["value"]
            name = names.get((case["method"], case["path"]))
            if name and interaction.get("response"):
                seen[name].add(str(interaction["response"]["status_code"]))
    return seen


def never_seen(*sources: Seen) -> list[str]:
    """List the documented statuses that nothing has provoked."""
    return [
        f"{operation.id} {status}"
        for operation in OPERATIONS
        for status in operation.statuses
        if status != "default" and not any(status in seen[operation.id] for seen in sources)
    ]


def main() -> int:
    """Fuzz, and report."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with development(folder) as running:
            paid = paid_payment(running)
            code = run(running, folder, paid)
            by_hand = provoke(running, paid)
        log = (folder / "dev.log").read_text()
        (folder / "stripe").mkdir()
        as_stripe = tell_as_stripe(folder / "stripe")
        log += (folder / "stripe" / "dev.log").read_text()
        missing = never_seen(statuses_seen(folder), by_hand, as_stripe)
    for entry in missing:
        print(f"fuzz: documented, but never seen: {entry}")
    failed = log.count('"request.failed"')
    print(f"fuzz: {len(missing)} documented statuses never seen, {failed} unexpected errors logged")
    return code or bool(missing or failed)


if __name__ == "__main__":
    sys.exit(main())
