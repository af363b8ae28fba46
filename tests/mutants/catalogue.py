"""The breakages, and what must catch each. The worst bugs of payment services are among them."""

from tests.mutants.contract import CONTRACT
from tests.mutants.exceptions import EXCEPTIONS
from tests.mutants.mutant import Mutant

USE_CASES = "src/payment_service/use_cases"
STORAGE = "src/payment_service/storage"
LEDGER = "src/payment_service/ledger"
PROVIDERS = "src/payment_service/providers"
WORKERS = "src/payment_service/workers"

_SQLITE = ("-k", "sqlite")
PAYMENTS = ("tests/integration/test_payments.py", *_SQLITE)
REFUNDS = ("tests/integration/test_refunds.py", *_SQLITE)
GROUPS = ("tests/integration/test_group_commit.py", *_SQLITE)
PAYOUTS = ("tests/integration/test_payouts.py", *_SQLITE)
DATABASE = ("tests/integration/test_database.py", *_SQLITE)
RELAY = ("tests/integration/test_relay.py", *_SQLITE)
QUERIES = ("tests/contract/storage/test_queries.py", *_SQLITE)
GUARD = ("tests/unit/providers/test_guard.py", "tests/unit/providers/test_circuit_breaker.py")

WEBHOOKS = (
    Mutant(
        name="a webhook is acknowledged before it is stored",
        path=f"{USE_CASES}/receive_webhook.py",
        old="    stored = await journal.submit(delivery)",
        new="    return Reception.STORED\n    stored = await journal.submit(delivery)",
        tests=PAYMENTS,
    ),
    Mutant(
        name="seen counts as applied",
        path=f"{USE_CASES}/receive_webhook.py",
        old="status=webhooks.RECEIVED,",
        new="status=webhooks.APPLIED,",
        tests=PAYMENTS,
    ),
    Mutant(
        name="the message that tells of a webhook is forgotten",
        path=f"{USE_CASES}/receive_webhook.py",
        old="    await outbox.add(session, *messages)",
        new="    pass",
        tests=PAYMENTS,
    ),
    Mutant(
        name="webhooks that come together are told before their commit",
        path=f"{STORAGE}/group_commit.py",
        old="        items = [entry.item for entry in group]\n",
        new="        items = [entry.item for entry in group]\n"
        "        for entry in group:\n            entry.tell(None)  # type: ignore\n",
        tests=GROUPS,
    ),
    Mutant(
        name="a webhook that cannot be stored takes its neighbours along",
        path=f"{STORAGE}/group_commit.py",
        old="            if len(group) == 1:",
        new="            if group:",
        tests=GROUPS,
    ),
    Mutant(
        name="any signature will do",
        path=f"{PROVIDERS}/payos/signature.py",
        old="    return hmac.compare_digest(",
        new="    return True or hmac.compare_digest(",
        tests=PAYMENTS,
    ),
    Mutant(
        name="a repeated transfer is recorded again",
        path=f"{LEDGER}/receipts.py",
        old="    if any(_is_same(receipt, transfer) for receipt in known):\n        return None\n"
        "    if known:",
        new="    if known and not any(_is_same(receipt, transfer) for receipt in known):",
        tests=PAYMENTS,
    ),
    Mutant(
        name="a webhook without a payment is dropped",
        path=f"{USE_CASES}/apply_webhook.py",
        old="        await record_unmatched(session, webhook.provider, transfer, now=clock())\n",
        new="",
        tests=PAYMENTS,
    ),
)

CREATION = (
    Mutant(
        name="the answer to a creation overwrites what has overtaken it",
        path=f"{STORAGE}/payments.py",
        old=", _ATTEMPT_TABLE.c.state == ATTEMPT_OPENING",
        new="",
        tests=("tests/integration/test_races.py", "-k", "sqlite and overtakes"),
    ),
    Mutant(
        name="a retry takes a new order code",
        path=f"{USE_CASES}/create_payment.py",
        old="                order_code=attempt.order_code,",
        new="                order_code=new_order_code(self._clock()),",
        tests=PAYMENTS,
    ),
    Mutant(
        name="the fence of an idempotency key is not checked",
        path=f"{STORAGE}/idempotency.py",
        old='_TABLE.c.fence == bindparam("owner_fence")',
        new='_TABLE.c.fence >= bindparam("owner_fence")',
        tests=DATABASE,
    ),
    Mutant(
        name="a key is good for any request",
        path=f"{STORAGE}/idempotency.py",
        old="    if not hmac.compare_digest(known.fingerprint, request.fingerprint):",
        new="    if False:",
        tests=DATABASE,
    ),
    Mutant(
        name="keys are shared by all tenants",
        path="src/payment_service/api/calls.py",
        old="        tenant_id=principal_of(context).tenant_id,",
        new='        tenant_id="all",',
        tests=PAYMENTS,
    ),
    Mutant(
        name="a twin does not learn that the first request is running",
        path=f"{STORAGE}/idempotency.py",
        old="    if known.lease_until > now:\n        raise IdempotencyInProgress",
        new="    if False:\n        raise IdempotencyInProgress",
        tests=DATABASE,
    ),
    Mutant(
        name="two live payments for one order",
        path=f"{USE_CASES}/create_payment.py",
        old="            if live is not None:",
        new="            if False:",
        tests=PAYMENTS,
    ),
    Mutant(
        name="a tenant reads another's payment",
        path=f"{STORAGE}/shown.py",
        old=', _PAYMENTS.c.tenant_id == bindparam("tenant_id")\n',
        new="\n",
        tests=PAYMENTS,
    ),
    Mutant(
        name="a tenant reads the refunds of another's payment",
        path=f"{STORAGE}/payments.py",
        old="    payment = await session.get(Payment, payment_id)\n"
        "    if payment is None or payment.tenant_id != tenant_id:",
        new="    payment = await session.get(Payment, payment_id)\n    if payment is None:",
        tests=("tests/integration/test_access.py", "-k", "another_tenant"),
    ),
)

MONEY = (
    Mutant(
        name="late money makes a closed payment paid",
        path="src/payment_service/domain/receipt.py",
        old="    if status in CLOSED_UNPAID:",
        new="    if False:",
        tests=PAYMENTS,
    ),
    Mutant(
        name="a little less money is enough",
        path="src/payment_service/domain/receipt.py",
        old="    if amount < missing:",
        new="    if amount < missing - 1:",
        tests=("tests/unit/domain",),
    ),
    Mutant(
        name="a payment expires by our clock alone",
        path=f"{USE_CASES}/check_payment.py",
        old='            return await provider.cancel_payment(due.order_code, "expired")',
        new="            return None",
        tests=PAYMENTS,
    ),
    Mutant(
        name="a cancelled payment's link stays open",
        path=f"{USE_CASES}/cancel_payment.py",
        old="        return await provider.cancel_payment(order_code, reason or ",
        new="        return await provider.get_payment(order_code)\n        print(",
        tests=PAYMENTS,
    ),
    Mutant(
        name="a change is not counted",
        path=f"{LEDGER}/changes.py",
        old="    payment.version += 1\n",
        new="",
        tests=PAYMENTS,
    ),
    Mutant(
        name="a change is not told",
        path=f"{LEDGER}/changes.py",
        old="    await audit.add(session, _audit_entry(payment, change, now))\n",
        new="",
        tests=PAYMENTS,
    ),
    Mutant(
        name="nobody asks about replaced links",
        path=f"{USE_CASES}/check_payment.py",
        old="    for order_code in due.replaced:",
        new="    for order_code in ():",
        tests=("tests/integration/test_replaced_links.py", *_SQLITE),
    ),
    Mutant(
        name="a replaced link is opened again",
        path=f"{LEDGER}/links.py",
        old="    if attempt.state == payments.ATTEMPT_CLOSED:\n        return\n",
        new="",
        tests=("tests/integration/test_replaced_links.py", *_SQLITE),
    ),
    Mutant(
        name="nobody asks about payments",
        path=f"{WORKERS}/scheduler.py",
        old="        for job in self._jobs:\n",
        new="        for job in self._jobs[:2]:\n",
        tests=PAYMENTS,
    ),
)

REFUND = (
    Mutant(
        name="the guard of the refund's reservation is gone",
        path=f"{STORAGE}/refunds.py",
        old="            Payment.amount_received - Payment.amount_refunded "
        "- Payment.amount_reserved >= amount,\n",
        new="",
        tests=REFUNDS,
    ),
    Mutant(
        name="a refund does not ask what is left",
        path="src/payment_service/domain/refund.py",
        old="    if wanted > available:",
        new="    if False:",
        tests=("tests/unit/domain",),
    ),
    Mutant(
        name="each try of a payout has a key of its own",
        path=f"{USE_CASES}/pay_out_refund.py",
        old="        idempotency_key=refund.payout_reference,",
        new="        idempotency_key=str(id(refund)),",
        tests=REFUNDS,
    ),
    Mutant(
        name="a failed refund keeps its reserve",
        path=f"{LEDGER}/refunds.py",
        old="    _end(refund, reason, now=now)\n    payment.amount_reserved -= refund.amount\n",
        new="    _end(refund, reason, now=now)\n",
        tests=REFUNDS,
    ),
    Mutant(
        name="a returned refund stays refunded",
        path=f"{LEDGER}/refunds.py",
        old="    payment.amount_refunded -= refund.amount\n",
        new="",
        tests=REFUNDS,
    ),
    Mutant(
        name="an empty wallet ends a refund",
        path=f"{USE_CASES}/pay_out_refund.py",
        old="    if isinstance(refusal, InsufficientFunds):",
        new="    if False:",
        tests=REFUNDS,
    ),
    Mutant(
        name="a new payout while a request for the old one is under way",
        path=f"{USE_CASES}/pay_out_refund.py",
        old="        if look.is_first:",
        new="        if True:",
        tests=PAYOUTS,
    ),
    Mutant(
        name="a refusal ends a refund while an earlier request is under way",
        path=f"{USE_CASES}/pay_out_refund.py",
        old="    if not look.is_alone:",
        new="    if False:",
        tests=PAYOUTS,
    ),
    Mutant(
        name="a look that comes late has the last word",
        path=f"{USE_CASES}/pay_out_refund.py",
        old="        if refund.checks != look.number:",
        new="        if False:",
        tests=PAYOUTS,
    ),
    Mutant(
        name="a payout that is known is sent again when it is not found",
        path=f"{USE_CASES}/pay_out_refund.py",
        old="        if look.is_told:",
        new="        if False:",
        tests=PAYOUTS,
    ),
)

DELIVERY = (
    Mutant(
        name="a message is ticked off before the broker has it",
        path=f"{WORKERS}/relay.py",
        old="zip(batch, results, strict=True) if error is None]",
        new="zip(batch, results, strict=True)]",
        tests=RELAY,
    ),
    Mutant(
        name="the relay remembers the last number",
        path=f"{STORAGE}/outbox.py",
        old="        OutboxEvent.shard.in_(",
        new="        OutboxEvent.id > select(\n"
        "            func.coalesce(func.max(OutboxEvent.id), 0)\n"
        "        ).where(OutboxEvent.status == PUBLISHED).scalar_subquery(),\n"
        "        OutboxEvent.shard.in_(",
        tests=RELAY,
    ),
    Mutant(
        name="a refused message lets later ones of its key pass",
        path=f"{STORAGE}/outbox.py",
        old="        OutboxEvent.message_key.not_in(_BLOCKED),\n",
        new="",
        tests=DATABASE,
    ),
    Mutant(
        name="all relays take all shards",
        path=f"{STORAGE}/leases.py",
        old="    if known.owner != owner and known.expires_at > now:\n",
        new="    if False:\n",
        tests=DATABASE,
    ),
    Mutant(
        name="a lease is believed however fast the clock that wrote it",
        path=f"{STORAGE}/leases.py",
        old="        if known.expires_at > now + BELIEVED * duration:\n",
        new="        if False:\n",
        tests=QUERIES,
    ),
    Mutant(
        name="a unit of work ends with its caller",
        path=f"{STORAGE}/database.py",
        old="        return await asyncio.shield(task)",
        new="        return await task",
        tests=DATABASE,
    ),
    Mutant(
        name="a lost race is not run again",
        path=f"{STORAGE}/database.py",
        old="                if attempt == TRIES_MAX:\n                    raise ConcurrentUpdate",
        new="                if True:\n                    raise ConcurrentUpdate",
        tests=DATABASE,
    ),
)

PROVIDER = (
    Mutant(
        name="a half-open circuit lets everybody out",
        path=f"{PROVIDERS}/circuit_breaker.py",
        old="        self._is_probing = self._state is CircuitState.HALF_OPEN\n",
        new="",
        tests=GUARD,
    ),
    Mutant(
        name="a create without an answer is sent again",
        path=f"{PROVIDERS}/guard.py",
        old="                is_safe = may_repeat or isinstance(error, RequestNotSent)",
        new="                is_safe = True",
        tests=GUARD,
    ),
    Mutant(
        name="retries have no budget",
        path=f"{PROVIDERS}/guard.py",
        old="                if not self._may_spend(operation):\n                    raise\n",
        new="",
        tests=GUARD,
    ),
    Mutant(
        name="an unknown answer is a refusal",
        path=f"{PROVIDERS}/payos/client.py",
        old="    kind = _REFUSALS.get(str(code), OutcomeUnknown)",
        new="    kind = _REFUSALS.get(str(code), RequestRejected)",
        tests=("tests/unit/providers/test_payos_client.py",),
    ),
)

MUTANTS = (*WEBHOOKS, *CREATION, *MONEY, *REFUND, *EXCEPTIONS, *DELIVERY, *PROVIDER, *CONTRACT)
